"""Builders for tests of what a write says it took away: a catalog, and what is to be expected.

Here lives what such tests share: what was told is held against what stands in the ledger.
"""

from typing import Any, Final

from sqlalchemy import select

from decision.events import Consent, Lifting, Purchase
from decision.products import Product
from store.database import reading
from store.floors import CustomerFloor
from store.outcomes import Recorded
from store.schema import customer, outbox, shard, state, subject
from store.sharding import shard_of
from tests.integration.ledger_builders import Ledger, document

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
LOAN: Final = Product("ABS", "loan", "KR", "0012")
OTHER_LOAN: Final = LOAN._replace(number="77")
ANNA, BORIS, VERA = "anna", "boris", "vera"


def rich_document(**fields: Any) -> dict[str, Any]:
    """A catalog in which every kind of event can take something away."""
    base = document()
    wordings = [
        *base["wordings"],
        {
            **base["wordings"][0],
            "consent_type": "latest",
            "grants": [
                {"purpose": "advertising", "partners": ["acme"], "datasets": ["scoring"]},
            ],
        },
        {**base["wordings"][0], "consent_type": "latest", "version": 2}
        | {
            "in_force_from": "2022-01-01T00:00:00Z",
            "grants": [{"purpose": "advertising", "channels": ["email"]}],
        },
        {**base["wordings"][0], "consent_type": "product", "term": "until_product_closed"}
        | {"grants": [{"purpose": "advertising", "channels": ["email"]}]},
    ]
    wordings[1]["in_force_to"] = "2022-01-01T00:00:00Z"
    return (
        base
        | {
            "partners": [{"code": "acme", "name": "acme"}],
            "datasets": [{"code": "scoring", "name": "scoring"}],
            "consent_types": [
                {"code": "calls", "name": "calls"},
                {"code": "latest", "name": "latest", "terms": "latest"},
                {"code": "product", "name": "product"},
            ],
            "wordings": wordings,
            "matrix": [
                {
                    "id": "loans",
                    "in_force_from": "2000-01-01T00:00:00Z",
                    "product_type": "loan",
                    "consent_types": ["product", "latest"],
                }
            ],
            "acquisition_rules": [
                {"partner": "acme", "selector": {"kind": "contact"}, "term": "P1Y"}
            ],
        }
        | fields
    )


def narrower_document() -> dict[str, Any]:
    """The same without SMS for those who consented to calls."""
    narrowed = document(channels=("phone",))["wordings"]
    return rich_document(wordings=[*narrowed, *rich_document()["wordings"][1:]])


def floors_of(recorded: Recorded) -> dict[str, CustomerFloor]:
    """The floors by customer id, each once."""
    assert recorded.narrowing.epoch == recorded.epoch
    floors = {floor.customer_id: floor for floor in recorded.narrowing.customers}
    assert len(floors) == len(recorded.narrowing.customers)
    return floors


def stands_at(ledger: Ledger, customer_id: str) -> CustomerFloor:
    """The floor that demands a customer's state and shard as they stand."""
    with reading(ledger.engine) as connection:
        row = connection.execute(
            select(state.c.version, shard.c.seq)
            .select_from(customer.join(subject, subject.c.number == customer.c.subject))
            .join(state, state.c.subject == subject.c.root)
            .join(shard, shard.c.number == subject.c.shard)
            .where(customer.c.customer_id == customer_id)
        ).one()
    return CustomerFloor(customer_id, row.seq, row.version)


def assert_narrowed(ledger: Ledger, recorded: Recorded, *customer_ids: str) -> None:
    """The write took something away of just these, as the outbox says, and all these are told.

    What may take away tells of others too, as it may repeat what was not told the first time.
    """
    told = floors_of(recorded)
    assert told.keys() >= set(customer_ids)
    assert told == {customer_id: stands_at(ledger, customer_id) for customer_id in told}
    body = recorded.event.body
    only_gives = isinstance(body, Purchase | Lifting) or (
        isinstance(body, Consent) and body.value == "granted"
    )
    assert recorded.narrowing.is_empty == (only_gives and not customer_ids)
    for number, seq in recorded.positions.items():
        ids = [customer_id for customer_id in customer_ids if shard_of(customer_id) == number]
        with reading(ledger.engine) as connection:
            row = connection.execute(
                select(outbox.c.narrowed_version, outbox.c.lost_at)
                .where(outbox.c.shard == number)
                .where(outbox.c.seq == seq)
            ).one()
        assert (row.narrowed_version is not None) == bool(ids)
        assert (row.lost_at is not None) == bool(ids)
