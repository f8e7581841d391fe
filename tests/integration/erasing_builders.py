"""Builders for tests of erasing: a customer of whom everything personal is held, and what is left.

What is searched are the tables and Redis themselves, every column and every key.
"""

import redis
from maywe.v1 import common_pb2, decision_pb2, event_pb2, writer_pb2
from sqlalchemy import Engine, text

from store.schema import metadata
from tests.integration.service_builders import catalog, consent, new_id, purchase
from tests.running import RunningMaywe

ANNA = "anna-8861204417"
ANNA_TOO = "anna-card-5520091136"
BORIS = "boris-3316"

CONTRACT = "Ж-4471/09-ЦЦ"
DOCUMENT = "questionnaire 99-12-ф"
CLERK = "clerk Сидорова"
CAUSE = "typed in twice by Сидорова"

PERSONAL = (ANNA, ANNA_TOO, CONTRACT, DOCUMENT, CLERK, CAUSE)


def erase(
    maywe: RunningMaywe, customer_id: str = ANNA, event_id: str = "", *, with_merged: bool = True
) -> writer_pb2.EraseCustomerResponse:
    """Erase a customer."""
    return maywe.client.writer.EraseCustomer(
        event_pb2.EraseCustomerRequest(
            event_id=event_id or new_id(),
            customer_id=customer_id,
            with_merged=with_merged,
            source=common_pb2.Source(process="request", document=DOCUMENT, recorded_by=CLERK),
        )
    )


def may_sms(
    maywe: RunningMaywe, customer_id: str, token: str = ""
) -> decision_pb2.MayContactResponse:
    """Ask whether a text message may be sent."""
    return maywe.client.decision.MayContact(
        decision_pb2.MayContactRequest(
            customer_id=customer_id, channel="sms", purpose="advertising", token=token
        )
    )


def live_a_life(maywe: RunningMaywe) -> None:
    """Record events of every kind that hold something personal of Anna, and one of Boris."""
    maywe.publish(catalog())
    writer = maywe.client.writer
    source = common_pb2.Source(process="branch", document=DOCUMENT, recorded_by=CLERK)
    bought = purchase(ANNA, number=CONTRACT)
    bought.source.CopyFrom(source)
    writer.RecordPurchase(bought)
    mistaken = purchase(ANNA, number=CONTRACT)
    writer.RecordPurchase(mistaken)
    writer.VoidEvent(
        event_pb2.VoidEventRequest(
            event_id=new_id(), voided_event_id=mistaken.event_id, cause=CAUSE, source=source
        )
    )
    writer.RecordConsent(consent(ANNA_TOO))
    writer.RecordConsent(consent(BORIS))
    # Boris was taken for Anna for a while, so a merge of his names her.
    writer.MergeCustomers(
        event_pb2.MergeCustomersRequest(
            event_id=new_id(), from_customer_id=BORIS, into_customer_id=ANNA
        )
    )
    writer.SplitCustomer(event_pb2.SplitCustomerRequest(event_id=new_id(), customer_id=BORIS))
    writer.MergeCustomers(
        event_pb2.MergeCustomersRequest(
            event_id=new_id(), from_customer_id=ANNA_TOO, into_customer_id=ANNA
        )
    )


def everything_in(engine: Engine) -> str:
    """The text of every column of every row of every table, those beside ours included."""
    with engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
        ).all()
        assert {table.name for table in metadata.sorted_tables} <= set(tables)
        rows = [
            row
            for table in tables
            for row in connection.scalars(text(f"SELECT t::text FROM {table} AS t"))  # noqa: S608 - names of the catalog's
        ]
        # Bytes are shown as hexadecimal digits.
        payloads = connection.scalars(
            text("SELECT encode(payload || coalesce(outcome, ''), 'escape') FROM work_piece")
        ).all()
    return "\n".join([*rows, *payloads])


def everything_cached(client: redis.Redis) -> bytes:
    """Every key of Redis and what it holds."""
    found = []
    for key in client.scan_iter("*"):
        found += [key, client.get(key) if client.type(key) == b"string" else b""]
    return b"\n".join(found)


def left_of(maywe: RunningMaywe, client: redis.Redis, *texts: str) -> list[str]:
    """Tell which texts are left, and where."""
    stored = everything_in(maywe.application.engine)
    cached = everything_cached(client)
    found = []
    for wanted in texts:
        in_hexadecimal = wanted.encode().hex()
        if wanted in stored or in_hexadecimal in stored:
            found.append(f"{wanted} in PostgreSQL")
        if wanted.encode() in cached:
            found.append(f"{wanted} in Redis")
    return found
