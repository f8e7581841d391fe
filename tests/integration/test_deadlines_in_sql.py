"""Deadlines of calls reach PostgreSQL: nothing is worked out there for which nobody waits."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc
import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from decision.errors import DeadlineExceededError
from store.database import reading, run_transaction, run_transaction_asking
from store.deadlines import deadline_in
from tests.access import request_class
from tests.integration.service_builders import BOUGHT_AT, at, purchase
from tests.running import RunningMaywe, running_maywe

pytestmark = pytest.mark.integration

SECONDS_MAX: Final = 30.0
"""A bound against hanging, half of what PostgreSQL would take; not a performance claim."""

_OF_ANNA: Final = {"event_id": "e", "customer_id": "anna"}

_WAITING: Final = text(
    "SELECT string_agg(query, '; ') FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def maywe(
    database_url: str,
    redis_url: str,
    redis_namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RunningMaywe]:
    """A server that would wait for locks for as long as PostgreSQL lets it."""
    monkeypatch.setattr("store.database.LOCK_WAIT_SECONDS_MAX", 2 * SECONDS_MAX)
    with running_maywe(database_url, redis_url, redis_namespace) as running:
        yield running


def _read(engine: Engine, work: Callable[[Connection], object]) -> object:
    with reading(engine) as connection:
        return work(connection)


@pytest.fixture
def other(database_url: str) -> Iterator[Engine]:
    """Connections of somebody else to the same database."""
    engine = create_engine(database_url, poolclass=NullPool)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    "ask",
    [
        run_transaction,
        lambda engine, work: run_transaction_asking(engine, (), lambda one, _: work(one)),
        _read,
    ],
    ids=["write", "write with questions", "read"],
)
def test_a_statement_that_the_deadline_ended_is_no_fault_of_postgresql(
    engine: Engine, ask: Callable[[Engine, Callable[[Connection], object]], object]
) -> None:
    """Whoever watches for PostgreSQL's failures is not told of callers who gave too little."""
    with pytest.raises(DeadlineExceededError), deadline_in(0.05):
        ask(engine, lambda connection: connection.execute(text("SELECT pg_sleep(60)")))


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("ConsentService/ListEvents", {}),
        ("ConsentService/GetConsentCard", {"customer_id": "anna"}),
        # One that is recorded with others, one that is by itself, one that changes who is who.
        (
            "WriterService/RecordPurchase",
            {**_OF_ANNA, "purchased_at": at(BOUGHT_AT), "product": {"product_type": "loan"}},
        ),
        (
            "WriterService/Revoke",
            {**_OF_ANNA, "revoked_at": at(BOUGHT_AT), "selector": {"all": True}},
        ),
        (
            "WriterService/MergeCustomers",
            {"event_id": "e", "from_customer_id": "anna", "into_customer_id": "olga"},
        ),
        ("WriterService/EraseCustomer", _OF_ANNA),
    ],
)
def test_a_statement_ends_when_its_caller_waits_no_longer(
    maywe: RunningMaywe, other: Engine, method: str, fields: dict[str, Any]
) -> None:
    """Although PostgreSQL would let it go on; connections are free for others then."""
    path = f"/maywe.v1.{method}"
    request = request_class(path)(**fields)
    with (
        other.connect() as holding,
        other.connect().execution_options(isolation_level="AUTOCOMMIT") as looking,
        grpc.insecure_channel(maywe.address) as channel,
    ):
        maywe.client.writer.RecordPurchase(purchase("anna"))
        # What is done in the background asks for nobody's events.
        holding.execute(text("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
        call: Any = channel.unary_unary(
            path, request_serializer=request_class(path).SerializeToString
        )
        answer = call.future(request, timeout=2)
        while not looking.scalar(_WAITING):
            assert not answer.done()
        assert answer.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        ends_at = time.monotonic() + SECONDS_MAX
        while looking.scalar(_WAITING):
            assert time.monotonic() < ends_at, looking.scalar(_WAITING)
            time.sleep(0.02)
