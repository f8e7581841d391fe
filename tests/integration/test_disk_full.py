"""A PostgreSQL whose disk is really full: a clear error, nothing half recorded, all well again.

The small disk is a mount of one child process's own (`small_disk_child`). Where the machine allows
no such thing the tests are skipped and say why.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import pytest
from sqlalchemy import NullPool, create_engine, make_url, select, text

from decision.errors import UnavailableError
from decision.events import Consent, Merge, NewEvent
from service.embedded import temporary_data_directory
from store.database import reading
from store.migrations import upgrade
from store.outcomes import Recorded
from store.publishing import NewPublication, PublicationRecorded, publish
from store.schema import event
from tests.integration.ledger_builders import LONG_AGO, Ledger, document, opened_ledger
from tests.integration.whole_ledger import everything_in, faults_of_ledger

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT: Final = Path(__file__).parents[2]
END_SECONDS_MAX: Final = 60.0

BATCH_EVENTS: Final = 300
"""More than finds room in the pages that the tables have."""

SEGMENT_BYTES: Final = 16 * 1024**2
SEGMENT_BYTES_LEFT: Final = 1024**2

BATCHES_MAX: Final = 100
"""Far more than the write-ahead log takes."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A PostgreSQL on a small disk, in a child process."""

    url: str
    mounted_at: str
    commands: IO[str]
    answers: IO[str]

    def do(self, command: str) -> None:
        """Have a command obeyed: `fill`, `free` or `restart`."""
        self.commands.write(f"{command}\n")
        self.commands.flush()
        assert self.answers.readline() == "done\n"


@contextmanager
def small_disk(place: str) -> Iterator[SmallDisk]:
    """Run a PostgreSQL that keeps its `tables` or its `wal` on a small disk, or skip the test."""
    with temporary_data_directory() as directory:
        command = [
            sys.executable,
            *("-m", "tests.integration.small_disk_child", str(directory), place),
        ]
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            started = json.loads(child.stdout.readline())
            if "cannot" in started:
                pytest.skip(f"this machine allows no small disk: {started['cannot']}")
            yield SmallDisk(started["url"], started["small"], child.stdin, child.stdout)
            child.stdin.close()
            assert child.wait(END_SECONDS_MAX) == 0


def database_on(disk: SmallDisk) -> str:
    """Make a database all of which is on the small disk, and give its address."""
    engine = create_engine(disk.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE TABLESPACE small LOCATION '{disk.mounted_at}'"))
        connection.execute(text("CREATE DATABASE small TABLESPACE small"))
    return make_url(disk.url).set(database="small").render_as_string(hide_password=False)


@contextmanager
def ledger_at(url: str) -> Iterator[Ledger]:
    """Open a ledger in an empty database, with customers who are known."""
    upgrade(create_engine(url, poolclass=NullPool))
    with opened_ledger(url) as ledger:
        for customer_id in ("anna", "boris"):
            ledger.consent(customer_id)
        yield ledger


def batch(number: int) -> list[NewEvent]:
    """Consents of customers whom nobody knew; recorded in one transaction."""
    return [
        NewEvent(
            f"event-{number}-{one}", f"new-{number}-{one}", Consent(LONG_AGO, "calls", "granted")
        )
        for one in range(BATCH_EVENTS)
    ]


def record(ledger: Ledger, events: Sequence[NewEvent]) -> list[bool]:
    """Record events, none of which may be refused, and tell which were repeats."""
    outcomes = ledger.recorder.record(events)
    recorded = [outcome for outcome in outcomes if isinstance(outcome, Recorded)]
    assert len(recorded) == len(outcomes), outcomes
    return [outcome.is_repeated for outcome in recorded]


def first_refused(ledger: Ledger, batches: Iterable[list[NewEvent]]) -> list[NewEvent]:
    """Record batches until one is not accepted, and give that one."""
    for events in batches:
        try:
            record(ledger, events)
        except UnavailableError:
            return events
    pytest.fail("everything found room")


def use_up_segment(ledger: Ledger) -> None:
    """Write to the log until little is left of the segment that it has."""
    with ledger.engine.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_logical_emit_message(false, 'test', repeat('x', (:bytes - mod("
                "pg_current_wal_insert_lsn() - '0/0'::pg_lsn, :bytes) - :left)::integer))"
            ),
            {"bytes": SEGMENT_BYTES, "left": SEGMENT_BYTES_LEFT},
        )


def publish_large(ledger: Ledger) -> PublicationRecorded:
    """Publish a document that finds no room in a page, however it is compressed."""
    content = document(remark="".join(sha256(bytes([number])).hexdigest() for number in range(256)))
    new = NewPublication("large", json.dumps(content), content, "test", "")
    return publish(ledger.engine, ledger.catalogs, new)


def recorded_ids(ledger: Ledger) -> set[str]:
    """The ids of all events in the ledger."""
    with reading(ledger.engine) as connection:
        return set(connection.scalars(select(event.c.event_id)))


def test_a_full_disk_refuses_writes_whole() -> None:
    """What does not fit leaves no trace, says what to do, and is accepted once there is room."""
    with small_disk("tables") as disk, ledger_at(database_on(disk)) as ledger:
        before = everything_in(ledger.engine)
        disk.do("fill")
        for _ in range(2):
            with pytest.raises(UnavailableError, match="disk is full: free space"):
                record(ledger, batch(1))
            with pytest.raises(UnavailableError, match="disk is full: free space"):
                publish_large(ledger)
            assert everything_in(ledger.engine) == before
        disk.do("free")
        assert not any(record(ledger, batch(1)))
        assert not publish_large(ledger).is_repeated
        ledger.roll_out()
        assert faults_of_ledger(ledger.engine, ledger.catalogs) == []


def test_a_single_event_on_a_full_disk_is_recorded_whole_or_not_at_all() -> None:
    """The tables fill up page by page; whichever meets it first, nothing of the event is there."""
    with small_disk("tables") as disk, ledger_at(database_on(disk)) as ledger:
        disk.do("fill")
        [refused] = first_refused(ledger, [[sent] for sent in batch(1)])
        with pytest.raises(UnavailableError, match="disk is full: free space"):
            record(ledger, [refused])
        assert refused.event_id not in recorded_ids(ledger)
        assert faults_of_ledger(ledger.engine, ledger.catalogs) == []
        disk.do("free")
        merge = NewEvent("merge", "", Merge("anna", refused.customer_id))
        assert record(ledger, [refused, merge]) == [False, False]
        assert faults_of_ledger(ledger.engine, ledger.catalogs) == []


def test_a_full_disk_under_the_log_loses_and_halves_nothing() -> None:
    """PostgreSQL goes down; once there is room it comes back with whole transactions only."""
    with small_disk("wal") as disk, ledger_at(disk.url) as ledger:
        disk.do("fill")
        use_up_segment(ledger)
        batches = [batch(number) for number in range(BATCHES_MAX)]
        refused = first_refused(ledger, batches)
        accepted = list(itertools.chain(*batches[: batches.index(refused)]))
        with pytest.raises(UnavailableError):
            record(ledger, refused)
        disk.do("free")
        disk.do("restart")
        assert {one.event_id for one in accepted} <= recorded_ids(ledger)
        assert faults_of_ledger(ledger.engine, ledger.catalogs) == []
        # Nobody can know whether the last one stands in the log, but no part of it does alone.
        assert len(set(record(ledger, refused))) == 1
        assert all(record(ledger, accepted[:BATCH_EVENTS]))
        assert faults_of_ledger(ledger.engine, ledger.catalogs) == []
