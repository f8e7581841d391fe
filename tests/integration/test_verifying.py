# ruff: noqa: S608 - what is spoilt, the test made itself
"""`maywe ledger verify` against ledgers that were spoilt, and against whoever rewrites all of it.

The verifier written for tests shares nothing with it, and has to find whatever it finds.
"""

import hashlib
import itertools
import threading
from collections.abc import Sequence
from typing import Any, Final

import pytest
from sqlalchemy import text

from decision.events import (
    Acquisition,
    Consent,
    Lifting,
    NewEvent,
    ProductClosing,
    Purchase,
    Restriction,
    Source,
    Void,
)
from decision.products import Product
from decision.selectors import EVERYTHING
from store.verifying import HeadsDigest, Verification, read_digest, verify
from tests.integration.chain_verifier import canonical, faults, load
from tests.integration.command_line import one_line, run
from tests.integration.ledger_builders import LONG_AGO, Ledger, document, ids_of_shard

pytestmark = pytest.mark.integration

SHARD: Final = 5
ANN, BOB = ids_of_shard(SHARD, 2)
(CID,) = ids_of_shard(9, 1)


@pytest.fixture
def written(ledger: Ledger) -> Ledger:
    """A ledger with events of every kind, in two shards, and two publications."""
    ledger.publish(document(channels=("sms",)) | {"partners": [{"code": "acme"}]})
    product = Product("ABS", "loan", "Ж-1", "007")
    source = Source("branch", "phone", "letter 5", "clerk")
    ledger.recorder.record(
        [
            NewEvent("purchase", ANN, Purchase(LONG_AGO, product), source),
            NewEvent("mistake", ANN, Purchase(LONG_AGO + 7, product), source),
            NewEvent("consent", BOB, Consent(LONG_AGO, "calls", "granted"), source),
            NewEvent("closing", ANN, ProductClosing(LONG_AGO + 1, product), source),
            NewEvent(
                "restriction", BOB, Restriction(LONG_AGO, LONG_AGO + 9, "complaint", EVERYTHING)
            ),
            NewEvent("lifting", BOB, Lifting(LONG_AGO + 1, "restriction")),
            NewEvent("acquisition", CID, Acquisition(LONG_AGO, "acme")),
        ]
    )
    ledger.recorder.record_one(NewEvent("void", "", Void("mistake", "typed in twice"), source))
    ledger.merge(CID, ANN)
    ledger.split(CID)
    ledger.merge(BOB, CID)
    return ledger


def verified(ledger: Ledger, *, processes: int = 1, **others: Any) -> Verification:
    """Verify what is stored."""
    url = ledger.engine.url.render_as_string(hide_password=False)
    return verify(ledger.engine, url, processes=processes, **others)


def spoil(ledger: Ledger, *statements: str) -> None:
    """Change what is stored, as somebody can who owns the database."""
    with ledger.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in ("event", "publication"):
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER append_only"))
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount, statement
        for table in ("event", "publication"):
            connection.execute(text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only"))


@pytest.mark.parametrize("processes", [1, 2])
def test_what_was_recorded_is_found_as_it_was_recorded(
    written: Ledger, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Walked by one process or by several, it comes to the same digest at the same instant."""
    monkeypatch.setattr("store.verifying.whole.EVENTS_FOR_PROCESSES_MIN", 0)
    found = verified(written, processes=processes)
    assert found.faults == []
    assert (found.events, found.publications) == (11, 2)
    assert found.digest is not None
    assert verified(written, processes=3 - processes, expected=[found.digest]).faults == []


def position_of(ledger: Ledger, event_id: str) -> tuple[int, int]:
    """Where an event stands."""
    with ledger.engine.connect() as connection:
        row = connection.execute(
            text("SELECT shard, position FROM event WHERE event_id = :id"), {"id": event_id}
        ).one()
    return row.shard, row.position


CHANGES: Final = {
    "kind": "'consent'",
    "effective_at": "effective_at + 1",
    "recorded_at": "recorded_at + 1000000000",
    "subject": "subject + 1",
    "body": "body || '{\"x\": 1}'",
    "personal_commitment": "set_byte(personal_commitment, 0, get_byte(personal_commitment, 0) # 1)",
    "previous_hash": "set_byte(previous_hash, 0, get_byte(previous_hash, 0) # 1)",
    "hash": "set_byte(hash, 0, get_byte(hash, 0) # 1)",
}


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_event_is_named(written: Ledger, column: str) -> None:
    """Whatever of it was changed, it is the first bad event, by shard, position and id."""
    spoil(written, f"UPDATE event SET {column} = {CHANGES[column]} WHERE event_id = 'closing'")
    [fault, *_] = verified(written).faults
    assert (fault.shard, fault.position, fault.event_id) == (
        *position_of(written, "closing"),
        "closing",
    )
    assert faults(load(written.engine))


def test_a_changed_event_id_is_noticed(written: Ledger) -> None:
    """The event is named as it is stored."""
    place = position_of(written, "closing")
    spoil(written, "UPDATE event SET event_id = 'other' WHERE event_id = 'closing'")
    [fault, *_] = verified(written).faults
    assert (fault.shard, fault.position, fault.event_id) == (*place, "other")


def test_a_removed_event_is_named_by_its_place(written: Ledger) -> None:
    """The place where it was, and what comes next there."""
    shard, position = position_of(written, "consent")
    spoil(
        written,
        "DELETE FROM event_personal WHERE event_id = 'consent'",
        "DELETE FROM event WHERE event_id = 'consent'",
    )
    [fault, *_] = verified(written).faults
    assert (fault.shard, fault.position) == (shard, position)
    assert "missing" in fault.problem


def test_a_removed_event_whose_gap_was_closed_is_noticed(written: Ledger) -> None:
    """The one that was moved into its place does not belong there."""
    shard, position = position_of(written, "consent")
    spoil(
        written,
        "DELETE FROM event WHERE event_id = 'consent'",
        f"UPDATE event SET position = -position WHERE shard = {shard} AND position > {position}",
        f"UPDATE event SET position = -position - 1 WHERE shard = {shard} AND position < 0",
    )
    [fault, *_] = verified(written).faults
    assert (fault.shard, fault.position) == (shard, position)


@pytest.mark.parametrize("with_head", [False, True])
def test_an_inserted_event_is_named(written: Ledger, *, with_head: bool) -> None:
    """Also one that is chained as it should be, unless the shard's head was changed with it."""
    shard, last = position_of(written, "lifting")
    with written.engine.connect() as connection:
        last, last_hash = connection.execute(
            text(
                "SELECT position, hash FROM event WHERE shard = :s ORDER BY position DESC LIMIT 1"
            ),
            {"s": shard},
        ).one()
    digest = verified(written).digest
    assert digest is not None
    inserted = chained_after(written, shard, last + 1, bytes(last_hash))
    statements = [inserted.statement]
    if with_head:
        statements.append(
            f"UPDATE shard SET chain_length = {last + 2}, "
            f"chain_hash = '\\x{inserted.hash.hex()}' WHERE number = {shard}"
        )
    spoil(written, *statements)
    found = verified(written)
    if with_head:
        # It is as if it had been recorded, by whoever has all rights; of before nothing is changed.
        assert [fault.event_id for fault in found.faults] == ["inserted"]
        assert "personal" in found.faults[0].problem
    else:
        assert (found.faults[0].shard, found.faults[0].position) == (shard, last + 1)


class Inserted:
    """An event that is chained as if it had been recorded."""

    def __init__(self, statement: str, chained_hash: bytes) -> None:
        self.statement = statement
        self.hash = chained_hash


def chained_after(ledger: Ledger, shard: int, position: int, previous: bytes) -> Inserted:
    """Forge an event of Ann's."""
    with ledger.engine.connect() as connection:
        row = connection.execute(
            text(
                "SELECT subject, (SELECT max(recorded_at) + 1 FROM event) AS recorded_at "
                "FROM event WHERE event_id = 'purchase'"
            )
        ).one()
    body = {"consent_type": "calls", "obtained_at": 5, "value": "granted"}
    content = {
        "body": body,
        "effective_at": 5,
        "event_id": "inserted",
        "kind": "consent",
        "personal_commitment": "00",
        "position": position,
        "recorded_at": row.recorded_at,
        "shard": shard,
        "subject": row.subject,
    }
    chained_hash = hashlib.sha256(previous + canonical(content)).digest()
    return Inserted(
        "INSERT INTO event VALUES ('inserted', "
        f"{shard}, {position}, {row.subject}, 'consent', 5, {row.recorded_at}, "
        f"'{canonical(body).decode()}', '\\x00', '\\x{previous.hex()}', "
        f"'\\x{chained_hash.hex()}')",
        chained_hash,
    )


def test_events_that_changed_places_are_noticed(written: Ledger) -> None:
    """The first of the two is named."""
    shard, first = position_of(written, "purchase")
    _, second = position_of(written, "mistake")
    spoil(
        written,
        "UPDATE event SET position = -1000 WHERE event_id = 'purchase'",
        f"UPDATE event SET position = {first} WHERE event_id = 'mistake'",
        f"UPDATE event SET position = {second} WHERE event_id = 'purchase'",
    )
    [fault, *_] = verified(written).faults
    assert (fault.shard, fault.position) == (shard, first)


def test_an_event_cut_off_is_noticed_by_the_shards_head(written: Ledger) -> None:
    """And where the head was set back too, by whoever noted the digest down."""
    digest = verified(written).digest
    assert digest is not None
    with written.engine.connect() as connection:
        last, before = connection.execute(
            text("SELECT position, previous_hash FROM event WHERE event_id = 'lifting'")
        ).one()
        count = connection.scalar(
            text("SELECT count(*) FROM event WHERE shard = :s AND position > :p"),
            {"s": SHARD, "p": last},
        )
    # The merge of Bob stands behind it: cut off what is recorded from the lifting on.
    assert count
    behind = f"shard = {SHARD} AND position >= {last}"
    spoil(
        written,
        "DELETE FROM event_personal AS kept USING event "
        f"WHERE event.event_id = kept.event_id AND {behind}",
        f"DELETE FROM event WHERE {behind}",
    )
    [fault, *_] = verified(written).faults
    assert (fault.shard, fault.position) == (SHARD, last)
    spoil(
        written,
        f"UPDATE shard SET chain_length = {last}, chain_hash = '\\x{bytes(before).hex()}' "
        f"WHERE number = {SHARD}",
        "DELETE FROM merge_link WHERE split_event_id IS NULL",
        "UPDATE subject SET merged_into = NULL, root = number WHERE merged_into IS NOT NULL",
        "UPDATE subject SET named_by_merge = number IN (SELECT from_subject FROM merge_link "
        "UNION SELECT into_subject FROM merge_link)",
        "DELETE FROM event_void",
    )
    assert faults(load(written.engine)) == []
    assert verified(written).faults == []
    [fault] = verified(written, expected=[digest]).faults
    assert str(digest) in fault.problem


BESIDE: Final[dict[str, tuple[Sequence[str], str]]] = {
    "a changed personal field": (
        [
            "UPDATE event_personal SET personal = '{\"x\": 1}' WHERE event_id = 'consent'",
        ],
        "consent",
    ),
    "another salt": (
        ["UPDATE event_personal SET salt = '\\x00' WHERE event_id = 'consent'"],
        "consent",
    ),
    "personal fields removed without an erasure": (
        ["DELETE FROM event_personal WHERE event_id = 'consent'"],
        "consent",
    ),
    "a customer id that leads to somebody else": (
        [f"UPDATE customer SET customer_id = 'x' || customer_id WHERE customer_id = '{BOB}'"],
        "consent",
    ),
    "a void undone": (["DELETE FROM event_void"], "void"),
    "another event void": (["UPDATE event_void SET voided_event_id = 'consent'"], "void"),
    "a void from earlier on": (["UPDATE event_void SET recorded_at = recorded_at - 1"], "void"),
    "a void of nobody's": (
        ["INSERT INTO event_void VALUES ('consent', 'nobody', 5)"],
        "consent",
    ),
}


@pytest.mark.parametrize("what", BESIDE)
def test_what_follows_from_events_has_to_follow(written: Ledger, what: str) -> None:
    """The event concerned is named, though the chain is whole."""
    statements, event_id = BESIDE[what]
    spoil(written, *statements)
    assert verified(written).faults[0].event_id == event_id


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM merge_link WHERE split_event_id IS NULL",
        "DELETE FROM merge_link WHERE split_event_id IS NOT NULL",
        "UPDATE merge_link SET into_subject = into_subject + 100",
        "UPDATE merge_link SET recorded_at = recorded_at - 1 WHERE split_event_id IS NULL",
        "UPDATE merge_link SET undone_at = undone_at - 1 WHERE undone_at IS NOT NULL",
        "UPDATE merge_link SET undone_at = NULL, split_event_id = NULL",
        "UPDATE merge_link SET undone_at = 5, split_event_id = 'x' WHERE undone_at IS NULL",
        "INSERT INTO merge_link VALUES ('x', 1, 2, 5, NULL, NULL)",
        "UPDATE subject SET merged_into = NULL WHERE merged_into IS NOT NULL",
        "UPDATE subject SET root = number",
        "UPDATE subject SET root = root + 100 WHERE merged_into IS NOT NULL",
        "UPDATE subject SET named_by_merge = NOT named_by_merge",
        "UPDATE subject SET shard = shard + 1",
        "UPDATE subject SET erased_at = 5",
        "INSERT INTO erasure VALUES ('purchase', 1, 5, '{}', NULL)",
        "UPDATE customer SET subject = subject + 100",
        "UPDATE shard SET chain_hash = '\\x00' WHERE number = 5",
        "UPDATE shard SET chain_length = chain_length + 1 WHERE number = 5",
        "UPDATE shard SET chain_length = 1 WHERE number = 40",
        "DELETE FROM shard WHERE number = 40",
        "INSERT INTO event_personal VALUES ('x', '\\x00', '{}')",
        "UPDATE event SET shard = 99 WHERE event_id = 'acquisition'",
        "UPDATE publication SET comment = 'x' WHERE number = 1",
        "UPDATE publication SET narrowed_at = NULL WHERE number = 1",
        "UPDATE publication SET content = content || '{\"x\": 1}' WHERE number = 2",
        "DELETE FROM publication WHERE number = 1",
        "DELETE FROM publication WHERE number = 2",
        "UPDATE publication_end SET count = 1",
        "UPDATE publication_end SET hash = '\\x00'",
        "DELETE FROM publication_end",
    ],
)
def test_whatever_else_is_changed_is_noticed(written: Ledger, statement: str) -> None:
    """Merges, splits, who is whom, heads and publications."""
    spoil(written, statement)
    found = verified(written)
    assert found.faults
    assert found.digest is None


def test_a_digest_serves_to_go_on_from(written: Ledger) -> None:
    """Only what came since is walked; what was changed before is for a walk over everything."""
    digest = verified(written).digest
    assert digest is not None
    assert read_digest(str(digest)) == digest
    written.consent(ANN)
    found = verified(written, since=digest)
    assert (found.events, found.faults) == (1, [])
    assert found.digest is not None
    assert verified(written, expected=[found.digest, digest]).faults == []
    assert verified(written, since=found.digest, expected=[digest]).faults == []
    spoil(written, "UPDATE event SET body = '{}' WHERE event_id = 'consent'")
    assert verified(written, since=digest).faults == []
    assert verified(written).faults
    spoil(written, "UPDATE event SET hash = '\\x00' WHERE shard = 9 AND position = 2")
    [fault, *_] = verified(written, since=digest).faults
    assert str(digest) in fault.problem


def test_parts_of_a_chain_are_put_together(
    written: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the parts, they make the same chain, and a fault at a seam is found."""
    monkeypatch.setattr("store.verifying.whole.EVENTS_PER_PART", 2)
    monkeypatch.setattr("store.verifying.events.EVENTS_PER_PAGE", 2)
    whole = verified(written)
    assert (whole.faults, whole.events) == ([], 11)
    place = (SHARD, 2)
    with written.engine.connect() as connection:
        event_id = connection.scalar(
            text("SELECT event_id FROM event WHERE shard = 5 AND position = 2")
        )
    spoil(written, "UPDATE event SET previous_hash = '\\x00' WHERE shard = 5 AND position = 2")
    [fault, *_] = verified(written).faults
    assert (fault.shard, fault.position, fault.event_id) == (*place, event_id)
    spoil(written, "DELETE FROM event WHERE shard = 5 AND position IN (2, 3)")
    [fault, *_] = verified(written).faults
    assert (fault.shard, fault.position) == place


def test_nobody_has_to_stop_writing(written: Ledger) -> None:
    """What is recorded meanwhile is in the snapshot with all that follows from it, or is not."""
    stop = threading.Event()

    def write() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            mistaken = written.consent(f"busy-{number % 7}").event.event_id
            written.record("", Void(mistaken, "typed in twice"))
            written.merge("busy-0", "busy-1")
            written.split("busy-0")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        digests: list[HeadsDigest] = []
        for _ in range(8):
            found = verified(written, expected=digests)
            assert found.faults == []
            assert found.digest is not None
            digests.append(found.digest)
    finally:
        stop.set()
        writer.join()
    assert verified(written, expected=digests).faults == []
    assert verified(written, since=digests[0], expected=digests).faults == []


class TestCommand:
    """The command line."""

    def test_says_that_all_is_as_recorded(self, written: Ledger, redis_url: str) -> None:
        """With the digest, in JSON too."""
        stores = stores_of(written, redis_url)
        finished = run("ledger", "verify", *stores, "--json", "--processes=1")
        assert finished.status == 0
        assert (finished.json["eventCount"], finished.json["faults"]) == (11, [])
        again = run("ledger", "verify", *stores, f"--expect={finished.json['digest']}")
        assert again.status == 0, again
        assert "digest" in again.out

    def test_names_the_first_bad_event(self, written: Ledger, redis_url: str) -> None:
        """In one line, with status 1; and in JSON."""
        spoil(written, "UPDATE event SET effective_at = 7 WHERE event_id = 'closing'")
        shard, position = position_of(written, "closing")
        finished = run("ledger", "verify", *stores_of(written, redis_url), "--json")
        assert finished.status == 1
        assert f"shard {shard}, position {position}, event closing" in one_line(finished)
        [fault] = finished.json["faults"]
        assert (fault["shard"], fault["position"], fault["eventId"]) == (shard, position, "closing")

    @pytest.mark.parametrize("digest", ["", "x", "2026-01-01T00:00:00Z/12", "x/" + "0" * 64])
    def test_refuses_what_is_no_digest(self, digest: str) -> None:
        """It is a faulty command line, and says nothing of the ledger."""
        assert run("ledger", "verify", f"--expect={digest}").status == 64

    def test_refuses_a_digest_of_the_future(self, written: Ledger, redis_url: str) -> None:
        """Nobody can have printed it."""
        digest = f"2999-01-01T00:00:00Z/{'0' * 64}"
        finished = run("ledger", "verify", *stores_of(written, redis_url), f"--since={digest}")
        assert finished.status == 64


def stores_of(ledger: Ledger, redis_url: str) -> Sequence[str]:
    """The options that name the stores."""
    url = ledger.engine.url.render_as_string(hide_password=False)
    return f"--postgres-url={url}", f"--redis-url={redis_url}"
