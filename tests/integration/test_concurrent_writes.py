"""Two writers at once, each with an engine and a recorder of its own, as two processes have."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import pytest
from sqlalchemy import func, select

from decision.events import (
    Acquisition,
    Body,
    Consent,
    EventKind,
    Lifting,
    Merge,
    NewEvent,
    ProductClosing,
    Purchase,
    Restriction,
    Revocation,
    Source,
    Split,
    Void,
)
from decision.instants import FOREVER
from decision.products import Product
from decision.selectors import EVERYTHING, Selector
from store.clocks import wall_clock
from store.database import reading
from store.outcomes import Outcome, Recorded
from store.publishing import NewPublication, PublicationRecorded, publish
from store.schema import event
from tests.integration.ledger_builders import LONG_AGO, Ledger, document, opened_ledger
from tests.integration.whole_ledger import faults_of_ledger

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

ROUNDS: Final = 5
RACES: Final = 20
REVOCATIONS: Final = 1000
REVOKERS: Final = 16
LOAN: Final = Product("ABS", "loan", "KR", "0012")


@pytest.fixture
def writers(database_url: str) -> Iterator[tuple[Ledger, Ledger]]:
    """Two writers on one ledger, whose catalog knows every kind of event."""
    with opened_ledger(database_url) as one, opened_ledger(database_url) as other:
        one.publish(catalog())
        yield one, other


def catalog(**fields: Any) -> dict[str, Any]:
    """A catalog in which a loan brings the consent to calls."""
    return document(**fields) | {
        "partners": [{"code": "acme", "name": "acme"}],
        "matrix": [
            {
                "id": "loans",
                "in_force_from": "2000-01-01T00:00:00Z",
                "product_type": "loan",
                "consent_types": ["calls"],
            }
        ],
    }


def at_once(*deeds: Callable[[], Any]) -> list[Any]:
    """Do each deed in a thread of its own, all beginning together."""
    barrier = threading.Barrier(len(deeds))

    def begin(deed: Callable[[], Any]) -> Any:
        barrier.wait()
        return deed()

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(begin, deeds))


def publish_as(writer: Ledger, publication_id: str, content: dict[str, Any]) -> PublicationRecorded:
    """Publish under an id of one's own choice."""
    new = NewPublication(publication_id, json.dumps(content), content, "test", "")
    return publish(writer.engine, writer.catalogs, new)


def bodies(number: int) -> Iterator[Body]:
    """A body of every kind, each possible once those before it are recorded."""
    yield Purchase(LONG_AGO, LOAN)
    yield ProductClosing(LONG_AGO + 1, LOAN)
    yield Consent(LONG_AGO + 2, "calls", "granted")
    yield Revocation(LONG_AGO + 3, EVERYTHING)
    yield Restriction(LONG_AGO + 4, FOREVER, "complaint", EVERYTHING)
    yield Lifting(LONG_AGO + 5, f"{number}-restriction")
    yield Acquisition(LONG_AGO + 6, "acme")
    yield Void(f"{number}-consent", "by mistake")
    yield Merge(f"customer-{number}", f"other-{number}")
    yield Split(f"customer-{number}")


KIND_OF_BODY: Final = {
    Purchase: EventKind.PURCHASE,
    ProductClosing: EventKind.PRODUCT_CLOSING,
    Consent: EventKind.CONSENT,
    Revocation: EventKind.REVOCATION,
    Restriction: EventKind.RESTRICTION,
    Lifting: EventKind.LIFTING,
    Acquisition: EventKind.ACQUISITION,
    Void: EventKind.VOID,
    Merge: EventKind.MERGE,
    Split: EventKind.SPLIT,
}


def assert_recorded_once(outcomes: Sequence[Outcome]) -> None:
    """One writer recorded it, for the other it is a repeat, and both answer alike."""
    recorded = [outcome for outcome in outcomes if isinstance(outcome, Recorded)]
    assert len(recorded) == len(outcomes), outcomes
    assert sorted(outcome.is_repeated for outcome in recorded) == [False, True]
    assert len({outcome.recorded_at for outcome in recorded}) == 1


def test_the_same_event_from_two_writers_is_recorded_once(writers: tuple[Ledger, Ledger]) -> None:
    """Of whatever kind it is."""
    one, other = writers
    for number in range(ROUNDS):
        for body in bodies(number):
            kind = KIND_OF_BODY[type(body)]
            is_personal = kind not in {EventKind.VOID, EventKind.MERGE, EventKind.SPLIT}
            customer_id = f"customer-{number}" if is_personal else ""
            sent = NewEvent(f"{number}-{kind.value}", customer_id, body, Source("branch"))
            found = at_once(*(partial(writer.recorder.record, [sent]) for writer in (one, other)))
            assert_recorded_once([outcome for [outcome] in found])
    with reading(one.engine) as connection:
        counts = connection.execute(select(event.c.kind, func.count()).group_by(event.c.kind))
        assert {row[0]: row[1] for row in counts} == {
            kind.value: ROUNDS for kind in EventKind if kind is not EventKind.ERASURE
        }
    assert faults_of_ledger(one.engine, one.catalogs) == []


def test_the_same_publication_from_two_writers_is_recorded_once(
    writers: tuple[Ledger, Ledger],
) -> None:
    """Both get its number, one of them as a repeat."""
    one, _ = writers
    for number in range(ROUNDS):
        content = catalog(remark=str(number))
        recorded = at_once(
            *(partial(publish_as, writer, f"same-{number}", content) for writer in writers)
        )
        assert sorted(found.is_repeated for found in recorded) == [False, True]
        assert len({(found.number, found.recorded_at) for found in recorded}) == 1
    one.roll_out()
    assert faults_of_ledger(one.engine, one.catalogs) == []


def test_a_thousand_concurrent_revocations_of_one_customer(
    writers: tuple[Ledger, Ledger],
) -> None:
    """All are recorded, none fails, and what they leave behind fits together."""
    one, _ = writers
    one.consent("anna")
    revoked_at = wall_clock()
    numbers = itertools.count()

    def revoke(writer: Ledger) -> list[Outcome]:
        outcomes: list[Outcome] = []
        while (number := next(numbers)) < REVOCATIONS:
            body = Revocation(revoked_at + number % 7, Selector(channel="phone"))
            outcomes += writer.recorder.record([NewEvent(f"revocation-{number}", "anna", body)])
        return outcomes

    deeds = [partial(revoke, writer) for writer in writers] * (REVOKERS // len(writers))
    outcomes = [outcome for found in at_once(*deeds) for outcome in found]
    recorded = [outcome for outcome in outcomes if isinstance(outcome, Recorded)]
    assert len(recorded) == len(outcomes) == REVOCATIONS
    assert not any(outcome.is_repeated for outcome in recorded)
    assert len({outcome.recorded_at for outcome in recorded}) == REVOCATIONS
    assert faults_of_ledger(one.engine, one.catalogs) == []


def test_a_purchase_a_revocation_and_a_publication_race(writers: tuple[Ledger, Ledger]) -> None:
    """Whoever is first, all are recorded, and the states follow from all once it is rolled out."""
    one, other = writers
    for number in range(RACES):
        channels = [("phone",), ("phone", "sms"), ("sms", "email")][number % 3]
        content = catalog(channels=channels, remark=str(number))
        # A customer of this race alone, and one who has been through all of them.
        customers = (f"customer-{number}", "anna")
        purchases = [
            NewEvent(f"purchase-{number}-{customer_id}", customer_id, Purchase(LONG_AGO, LOAN))
            for customer_id in customers
        ]
        revocations = [
            NewEvent(
                f"revocation-{number}-{customer_id}",
                customer_id,
                Revocation(LONG_AGO + number, Selector(channel=channels[0])),
            )
            for customer_id in customers
        ]
        recorded, revoked, published, _ = at_once(
            partial(one.recorder.record, purchases),
            partial(other.recorder.record, revocations),
            partial(publish_as, other, f"race-{number}", content),
            one.roll_out,
        )
        assert all(isinstance(outcome, Recorded) for outcome in (*recorded, *revoked))
        assert not published.is_repeated
    one.roll_out()
    assert one.catalogs.refresh().number == published.number
    assert faults_of_ledger(one.engine, one.catalogs) == []
