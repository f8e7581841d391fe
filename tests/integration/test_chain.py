"""The hash chains, worked out again from what is stored: as recorded, and broken by any change."""

import copy
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import delete

from decision.events import (
    Acquisition,
    Consent,
    Erasure,
    EventKind,
    Lifting,
    NewEvent,
    ProductClosing,
    Purchase,
    Restriction,
    Source,
    Void,
)
from decision.instants import parse_instant
from decision.products import Product
from decision.selectors import EVERYTHING
from store import erasing
from store.outcomes import Recorded
from store.schema import event_personal
from tests.integration.chain_verifier import Stored, faults, load
from tests.integration.ledger_builders import (
    LONG_AGO,
    Ledger,
    document,
    ids_of_shard,
)

pytestmark = pytest.mark.integration

FAR_AHEAD = parse_instant("2100-01-01T00:00:00Z")
ANN, BOB = ids_of_shard(5, 2)
CID, DOT = ids_of_shard(9, 2)

CHAINED_COLUMNS_OF_SHARD = ("chain_length", "chain_hash")


@pytest.fixture
def stored(ledger: Ledger) -> Stored:
    """What is stored after two publications and events of every kind, in two shards."""
    ledger.publish(document(channels=("sms",)) | {"partners": [{"code": "acme"}]})
    product = Product("ABS", "loan", "Ж-1", "007")
    source = Source("branch", "phone", "letter 5", "clerk")
    consent = Consent(LONG_AGO, "calls", "granted", 1, FAR_AHEAD, product)
    outcomes = ledger.recorder.record(
        [
            # One transaction appends several links to one chain.
            NewEvent("purchase", ANN, Purchase(LONG_AGO, product), source),
            NewEvent("consent", BOB, consent, source),
            NewEvent("closing", ANN, ProductClosing(LONG_AGO + 1, product), source),
        ]
    )
    assert all(isinstance(outcome, Recorded) for outcome in outcomes)
    restriction = ledger.record(
        ANN, Restriction(LONG_AGO, LONG_AGO + 1000, "complaint", EVERYTHING)
    )
    ledger.record(ANN, Lifting(LONG_AGO + 1, restriction.event.event_id))
    ledger.record(CID, Acquisition(LONG_AGO, "acme"))
    ledger.revoke(CID)
    ledger.record("", Void("purchase", "typed in twice"))
    ledger.merge(CID, ANN)
    ledger.split(CID)
    ledger.consent(DOT)
    erasing.begin(
        ledger.engine, ledger.catalogs, NewEvent("erasure", DOT, Erasure(), source, "officer")
    )
    found = load(ledger.engine)
    assert {row["kind"] for row in found["event"]} == {kind.value for kind in EventKind}
    return found


def altered(value: object) -> Iterator[object]:
    """The same value with one thing in it changed, in every place where it can be."""
    match value:
        case bytes():
            for index in range(len(value)):
                yield value[:index] + bytes([value[index] ^ 1]) + value[index + 1 :]
            yield value + b"\0"
        case dict():
            for key, part in value.items():
                for other in altered(part):
                    yield {**value, key: other}
                yield {name: kept for name, kept in value.items() if name != key}
            yield {**value, "": ""}
        case list():
            for index, part in enumerate(value):
                for other in altered(part):
                    yield [*value[:index], other, *value[index + 1 :]]
                yield [*value[:index], *value[index + 1 :]]
        case _:
            yield altered_scalar(value)


def altered_scalar(value: object) -> object:
    """Another value of the same kind; something instead of nothing."""
    match value:
        case None:
            return 0
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
        case _:
            message = f"{type(value).__name__} is no value that is stored"
            raise TypeError(message)


def alterations(stored: Stored) -> Iterator[tuple[str, Stored]]:
    """What is stored with one thing changed, and where."""
    for table, rows in stored.items():
        columns = CHAINED_COLUMNS_OF_SHARD if table == "shard" else tuple(rows[0])
        for index, row in enumerate(rows):
            for column in columns:
                for value in altered(row[column]):
                    changed = [*rows[:index], {**row, column: value}, *rows[index + 1 :]]
                    yield f"{table}[{index}].{column}", {**stored, table: changed}


def test_every_hash_follows_from_what_is_stored(stored: Stored) -> None:
    """Events, personal fields, the shards' heads and the publications are what was hashed."""
    assert faults(stored) == []
    chains = Counter(row["shard"] for row in stored["event"])
    assert (len(chains), min(chains.values()) > 1) == (2, True)
    assert len(stored["publication"]) == 2


def test_any_change_of_what_is_stored_is_noticed(stored: Stored) -> None:
    """Whichever column of whichever row, and whatever byte of a hash or leaf of a document."""
    unnoticed = [place for place, changed in alterations(stored) if not faults(changed)]
    assert unnoticed == []


def test_a_missing_event_is_noticed(stored: Stored) -> None:
    """Also the last one of a chain, of which the shard's head tells."""
    events = stored["event"]
    for index, row in enumerate(events):
        rest = [*events[:index], *events[index + 1 :]]
        personal = [
            found for found in stored["event_personal"] if found["event_id"] != row["event_id"]
        ]
        assert faults({**stored, "event": rest, "event_personal": personal})


def test_exchanged_events_are_noticed(stored: Stored) -> None:
    """Two events of one chain may not change places, not even with positions to match."""
    changed = copy.deepcopy(stored)
    first, second, *_ = changed["event"]
    first["position"], second["position"] = second["position"], first["position"]
    changed["event"][:2] = [second, first]
    assert faults(changed)


def test_a_publication_missing_before_others_is_noticed(stored: Stored) -> None:
    """The next one does not follow."""
    assert faults({**stored, "publication": stored["publication"][1:]})


def test_erasing_personal_fields_leaves_the_chains_whole(ledger: Ledger, stored: Stored) -> None:
    """The hash is over the commitment, which stays."""
    with ledger.engine.begin() as connection:
        connection.execute(delete(event_personal))
    erased = load(ledger.engine)
    assert (erased["event_personal"], erased["event"]) == ([], stored["event"])
    assert faults(erased) == []
