"""Verifying a whole ledger: every chain over one snapshot, in several processes.

What lives here: how the chains are cut into parts, how the parts are put together again, and what
is compared in the end. One part is `events`' business.

Nobody has to stop writing. The snapshot is held until the end, so that PostgreSQL keeps what is
deleted meanwhile for so long.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, Final

import psycopg
from sqlalchemy import Engine

from decision.errors import FieldFault, InvalidArgumentError
from decision.instants import Instant
from store.database import open_engine, reading
from store.knowledge import draw_now, wait_for_everybody
from store.sharding import SHARD_COUNT
from store.verifying.events import Part, WalkedPart, walk_part
from store.verifying.following import fault_of_personal, faults_among_all
from store.verifying.heads import Head, Heads, HeadsDigest, digest_of, read_heads
from store.verifying.publications import WalkedPublications, walk_publications
from store.verifying.values import Fault, Verification, VerifyingProgress

EVENTS_PER_PART: Final = 20_000

EVENTS_FOR_PROCESSES_MIN: Final = 100_000
"""Fewer events are walked before other processes have so much as started."""

STATEMENT_SECONDS_MAX: Final = 3600.0
"""How long one statement may take: some go over a whole table."""

_NEGATIVE_OR_BEYOND: Final = """
SELECT event_id, shard, position FROM event WHERE shard < 0 OR shard > %s
ORDER BY shard, position LIMIT 1
"""
_SHARDS: Final = """
SELECT number, chain_length, chain_hash,
    (SELECT max(position) + 1 FROM event WHERE event.shard = shard.number)
FROM shard ORDER BY number
"""


def verify(
    engine: Engine,
    url: str,
    *,
    since: HeadsDigest | None = None,
    expected: Sequence[HeadsDigest] = (),
    processes: int = 1,
    on_progress: Callable[[VerifyingProgress], None] = lambda _: None,
) -> Verification:
    """Verify the ledger in `engine`, which processes of ours reach at `url`.

    With `since` only what was recorded after a digest was noted down is walked, if the chains still
    have the heads that it stands for. Each of the `expected` digests has to fit as well.

    Raises InvalidArgumentError when a digest is of the future, and UnavailableError.
    """
    now = draw_now(engine)
    for digest in (*expected, *([since] if since is not None else ())):
        if digest.instant > now:
            raise InvalidArgumentError(FieldFault("digest", "is of an instant in the future"))
    # From here on whatever is recorded up to now is in every snapshot.
    wait_for_everybody(engine)
    own = open_engine(url, 1, STATEMENT_SECONDS_MAX)
    try:
        with reading(own) as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            driver: Any = connection.connection.driver_connection
            whole = _Whole(driver, url, now, since, expected, on_progress)
            return whole.verify(processes)
    finally:
        own.dispose()


class _Whole:
    """One verification, on a connection that holds the snapshot."""

    def __init__(
        self,
        driver: Any,  # noqa: ANN401 - the driver's connection
        url: str,
        now: Instant,
        since: HeadsDigest | None,
        expected: Sequence[HeadsDigest],
        on_progress: Callable[[VerifyingProgress], None],
    ) -> None:
        self._driver = driver
        self._url = url
        self._now = now
        self._since = since
        self._expected = expected
        self._on_progress = on_progress
        self._instants = tuple(sorted({now, *(digest.instant for digest in expected)}))
        self._begun = Heads([Head()] * SHARD_COUNT, Head())

    def verify(self, processes: int) -> Verification:
        publications = walk_publications(
            self._driver, [*self._instants, *([self._since.instant] if self._since else ())]
        )
        if self._since is not None:
            self._begun = read_heads(self._driver, self._since.instant)
            fault = self._fault_since(self._since, publications)
            if fault is not None:
                return Verification(0, publications.head.length, [fault], None)
        shards = [
            row for row in self._driver.execute(_SHARDS).fetchall() if 0 <= row[0] < SHARD_COUNT
        ]
        parts = [part for number, _, _, end in shards for part in self._parts(number, end or 0)]
        walked = self._walk(parts, processes)
        faults = [
            *self._faults_of_shards(shards, walked),
            *([publications.fault] if publications.fault is not None else ()),
            *faults_among_all(self._driver),
        ]
        if not faults and self._since is None:
            met = sum(found.personal for found in walked)
            orphan = fault_of_personal(self._driver, met)
            faults += [orphan] if orphan is not None else []
        heads = {
            instant: self._heads_at(instant, walked, publications) for instant in self._instants
        }
        if not faults:
            faults += self._faults_of_expected(heads)
        return Verification(
            sum(found.events for found in walked),
            publications.head.length,
            faults,
            None if faults else digest_of(self._now, heads[self._now]),
        )

    def _parts(self, number: int, end: int) -> Iterator[Part]:
        """Cut what is to be walked of a shard; the last part goes to the end, whatever it is."""
        first = self._begun.shards[number].length
        while first + EVENTS_PER_PART < end:
            yield Part(number, first, first + EVENTS_PER_PART, self._instants)
            first += EVENTS_PER_PART
        yield Part(number, first, None, self._instants)

    def _walk(self, parts: Sequence[Part], processes: int) -> list[WalkedPart]:
        """Walk parts and give what was found in their order."""
        [(total,)] = self._driver.execute(
            "SELECT coalesce(sum(chain_length), 0)::bigint FROM shard"
        ).fetchall()
        total -= sum(head.length for head in self._begun.shards)
        walked = []
        done = 0
        for found in self._walked(parts, total, processes):
            walked.append(found)
            done += found.events
            self._on_progress(VerifyingProgress(done, max(done, total)))
        return sorted(walked, key=lambda found: (found.part.shard, found.part.first))

    def _walked(self, parts: Sequence[Part], total: int, processes: int) -> Iterator[WalkedPart]:
        if processes == 1 or total < EVENTS_FOR_PROCESSES_MIN:
            for part in parts:
                yield walk_part(self._driver, part)
            return
        [(snapshot,)] = self._driver.execute("SELECT pg_export_snapshot()").fetchall()
        with ProcessPoolExecutor(
            processes,
            multiprocessing.get_context("spawn"),
            _open_in_process,
            (self._url, snapshot),
        ) as pool:
            for future in as_completed([pool.submit(_walk_in_process, part) for part in parts]):
                yield future.result()

    def _faults_of_shards(
        self, shards: Sequence[Any], walked: Sequence[WalkedPart]
    ) -> Iterator[Fault]:
        """Put the parts together; of each shard the first fault counts."""
        by_shard: dict[int, list[WalkedPart]] = {}
        for found in walked:
            by_shard.setdefault(found.part.shard, []).append(found)
        for number, length, last_hash, _ in shards:
            begun, end = self._begun.shards[number], Head(length, bytes(last_hash))
            fault = _fault_of_shard(begun, by_shard[number], end)
            if fault is not None:
                yield fault
        [(count,)] = self._driver.execute("SELECT count(*) FROM shard").fetchall()
        if count != len(shards) or count != SHARD_COUNT:
            yield Fault("the shards are not those that there should be")
        for event_id, number, position in self._driver.execute(
            _NEGATIVE_OR_BEYOND, (SHARD_COUNT - 1,)
        ).fetchall():
            yield Fault("it is in no shard", number, position, event_id)

    def _fault_since(self, since: HeadsDigest, publications: WalkedPublications) -> Fault | None:
        if publications.fault is not None:
            return publications.fault
        begun = Heads(self._begun.shards, publications.heads.get(since.instant, Head()))
        if digest_of(since.instant, begun) == since:
            return None
        return Fault(
            f"the chains up to {since} are not those of that digest: verify without it to find "
            "what was changed, or all of a chain was written anew"
        )

    def _faults_of_expected(self, heads: Mapping[Instant, Heads]) -> Iterator[Fault]:
        for digest in self._expected:
            if digest_of(digest.instant, heads[digest.instant]) != digest:
                yield Fault(
                    f"the chains fit together, and are not those of {digest}: a chain was written "
                    "anew from some event on, or it is another ledger"
                )

    def _heads_at(
        self,
        instant: Instant,
        walked: Sequence[WalkedPart],
        publications: WalkedPublications,
    ) -> Heads:
        shards = list(self._begun.shards)
        for found in walked:
            if instant in found.heads:
                shards[found.part.shard] = found.heads[instant]
        if self._since is not None and instant < self._since.instant:
            # What was before is not walked, but it was verified then.
            shards = list(read_heads(self._driver, instant).shards)
        return Heads(shards, publications.heads.get(instant, Head()))


def _fault_of_shard(begun: Head, parts: Sequence[WalkedPart], end: Head) -> Fault | None:
    """Give the first fault of a shard's chain from where it was begun up to where it has to end."""
    last = begun
    last_recorded_at: Instant | None = None
    for found in parts:
        if found.events:
            problem = ""
            if found.first_previous_hash != last.hash:
                problem = "it does not follow the event before"
            elif last_recorded_at is not None and found.first_recorded_at <= last_recorded_at:
                problem = "it was not recorded after the event before"
            if problem:
                return Fault(problem, found.part.shard, found.part.first, found.first_event_id)
            last = Head(last.length + found.events, found.last_hash)
            last_recorded_at = found.last_recorded_at
        if found.fault is not None:
            return found.fault
    return None if last == end else _fault_of_end(parts[0].part.shard, last, end)


def _fault_of_end(number: int, last: Head, end: Head) -> Fault:
    if last.length < end.length:
        problem = f"the last {end.length - last.length} events of the shard are missing"
        return Fault(problem, number, last.length)
    if last.length > end.length:
        problem = "the shard's chain was recorded to end before it"
        return Fault(problem, number, end.length)
    return Fault("the shard's chain was recorded to end with another hash", number, end.length - 1)


_driver_of_process: Any = None


def _open_in_process(url: str, snapshot: str) -> None:
    """Open a connection that sees what the one sees that exported a snapshot."""
    global _driver_of_process  # noqa: PLW0603 - one for each process of the pool
    connection = open_engine(url, 1, STATEMENT_SECONDS_MAX).connect()
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]  # SQLAlchemy types the driver's connection loosely
    driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    driver.execute(psycopg.sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot))
    # Kept open as long as the process is there.
    _driver_of_process = connection, driver


def _walk_in_process(part: Part) -> WalkedPart:
    _, driver = _driver_of_process
    return walk_part(driver, part)
