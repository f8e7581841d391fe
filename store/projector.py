"""The projector: keeps Redis in step with PostgreSQL, shard by shard and row by row.

What lives here: applying each shard's outbox in order, and beginning a new life of a shard's cache
when Redis and PostgreSQL do not fit together any more. Any number of projectors may run side by
side: Redis accepts each batch once, and a life is drawn in PostgreSQL and begun once.

Who erases a customer's id first records that nothing is permitted and waits until that is applied
(`erasing`): without the id the projector can no longer name the record. So a row without one that
is still to be applied means that Redis went back to before an erasure, and may hold its record.
"""

import logging
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine

from decision.errors import UnavailableError
from store.cache import Batch, Cache
from store.database import reading_once, run_transaction
from store.epochs import raise_epoch
from store.failures import is_told
from store.incarnations import Seen, draw_incarnations
from store.meta import Meta
from store.records_due import read_records_due
from store.redis_client import ShardUnavailableError
from store.shard_sources import ShardSource, read_sources
from store.sharding import SHARD_COUNT

ROWS_PER_BATCH: Final = 500
BATCHES_PER_TURN_MAX: Final = 20
"""Batches of one shard before the next shard has its turn."""

POLL_SECONDS: Final = 0.25
"""How often projecting looks for rows of which nobody told it."""

BACKOFF_SECONDS_MAX: Final = 0.5
BACKOFF_DOUBLINGS_MAX: Final = 10
APPLIED_POLL_SECONDS: Final = 0.02
"""How often whoever waits looks whether another process's projector was quicker than ours."""

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class ProjectorCounts:
    """What a projector has done since it was made."""

    rows_applied: int = 0
    incarnations_begun: int = 0
    epochs_begun: int = 0
    failures: int = 0


class Projector:
    """Projects the shards of one installation. For one thread; `wait_until_applied` for any."""

    def __init__(
        self, engine: Engine, cache: Cache, *, rows_per_batch: int = ROWS_PER_BATCH
    ) -> None:
        """Project from the ledger's primary at `engine` into `cache`."""
        self._engine = engine
        self._cache = cache
        self._rows_per_batch = rows_per_batch
        self._last_epoch = 0
        self._announced: set[int] = set()
        self._handed_over: dict[int, list[Batch]] = {}
        self._announced_lock = threading.Lock()
        self._applied_seqs = [0] * SHARD_COUNT
        self._has_applied = threading.Condition()
        self.wake = threading.Event()
        self.counts = ProjectorCounts()

    def announce(self, numbers: Iterable[int]) -> None:
        """Take notice that these shards have moved: `run` looks at them at once. For any thread."""
        with self._announced_lock:
            self._announced.update(numbers)
        self.wake.set()

    def hand_over(self, batches: Mapping[int, Batch]) -> None:
        """Take what a transaction committed, so that it need not be read back. For any thread.

        Such a batch is exactly what the transaction appended to the outbox of the shard: the rows
        that would be read, if they are the next ones. It is projected once the shard is announced.
        """
        with self._announced_lock:
            for number, batch in batches.items():
                self._handed_over.setdefault(number, []).append(batch)

    def project_shard(self, number: int) -> int:
        """Bring one shard forward and give how many outbox rows were applied.

        Raises UnavailableError when Redis or PostgreSQL does not answer.
        """
        # The cache first: what it shows applied was committed before, so that a cache that is ahead
        # of what PostgreSQL shows afterwards is ahead of the ledger and not of our reading.
        meta = self._cache.read_metas([number])[number]
        with reading_once(self._engine) as connection:
            source = read_sources(connection, [number])[0]
        return self._bring_forward(source, meta)

    def project_pending(self, numbers: Collection[int] = range(SHARD_COUNT)) -> int:
        """Bring every shard forward that lags, and give how many outbox rows were applied.

        Raises UnavailableError as `project_shard` does. Another failure in one shard is raised
        after the others had their turn.
        """
        metas = self._cache.read_metas(numbers)
        with reading_once(self._engine) as connection:
            sources = read_sources(connection, numbers)
        # A shard that a cluster does not answer for is not among them: it waits, the others do not.
        sources = [source for source in sources if source.number in metas]
        rows = read_records_due(
            self._engine,
            {
                source.number: self._range_after(source, meta)
                for source in sources
                if (meta := metas[source.number]) is not None and meta.life == source.life
            },
        )
        drawn = self._draw_incarnations(
            [
                (source, metas[source.number])
                for source in sources
                if _is_another_life(metas[source.number], source)
            ]
        )
        # A shard that is not drawn with others may have to wait for somebody who writes to it.
        sources.sort(key=lambda source: source.number not in drawn)
        applied = 0
        begun_before = self.counts.incarnations_begun
        failure: Exception | None = None
        for source in sources:
            meta, begun = metas[source.number], drawn.get(source.number)
            try:
                if begun is not None:
                    self._begin_incarnation(source, meta, begun)
                    continue
                applied += self._bring_forward(source, meta, rows.get(source.number, ()))
            except ShardUnavailableError as error:
                failure = failure or error
            except UnavailableError:
                raise
            except Exception as error:  # noqa: BLE001 - one bad shard must not hold up the others
                failure = failure or error
        with self._has_applied:
            self._has_applied.notify_all()
        begun_count = self.counts.incarnations_begun - begun_before
        if begun_count:
            _logger.warning(
                "Redis did not hold %d shards as PostgreSQL knows them: begun", begun_count
            )
        if failure is not None:
            raise failure
        return applied

    def run(self, stop: threading.Event) -> None:
        """Project until `stop` is set, what is announced at once. Outages are outlived."""
        failures_in_a_row = 0
        look_at_all_at = time.monotonic()
        while not stop.is_set():
            # Before looking, so that who wakes us while we look is not overlooked.
            self.wake.clear()
            announced, batches = self._take_announced()
            numbers: Collection[int] = announced
            if not announced or time.monotonic() >= look_at_all_at:
                look_at_all_at = time.monotonic() + POLL_SECONDS
                numbers = range(SHARD_COUNT)
            try:
                numbers = self._project_handed_over(numbers, batches)
                applied = self.project_pending(numbers) if numbers else 0
                failures_in_a_row = 0
            except Exception:
                self.counts.failures += 1
                failures_in_a_row += 1
                if is_told(failures_in_a_row):
                    is_first = failures_in_a_row == 1
                    _logger.warning(
                        "projecting failed, %d times in a row", failures_in_a_row, exc_info=is_first
                    )
                stop.wait(_backoff_seconds(failures_in_a_row))
                continue
            # After a full batch there may be more.
            if applied < self._rows_per_batch:
                self.wake.wait(POLL_SECONDS)

    def _take_announced(self) -> tuple[set[int], dict[int, list[Batch]]]:
        """Give the shards that were announced, with what was handed over for them."""
        with self._announced_lock:
            announced, self._announced = self._announced, set()
            if announced:
                batches = {
                    number: self._handed_over.pop(number)
                    for number in announced
                    if number in self._handed_over
                }
            else:
                # Nobody announced it, so nobody waits for it: the rows are found by looking.
                batches, self._handed_over = {}, {}
        return announced, batches

    def _project_handed_over(
        self, numbers: Collection[int], batches: Mapping[int, Sequence[Batch]]
    ) -> Collection[int]:
        """Project what was handed over, and give the shards that have to be looked at."""
        if not batches:
            return numbers
        left = [number for number in numbers if number not in batches]
        for number, handed_over in batches.items():
            for batch in sorted(handed_over, key=lambda one: one.first_seq):
                outcome = self._cache.project(number, batch)
                if not outcome.is_accepted or outcome.meta is None:
                    # Something is before it that nobody handed over, or Redis is not as it was.
                    left.append(number)
                    break
                self.counts.rows_applied += batch.last_seq - batch.first_seq + 1
                self._applied_seqs[number] = outcome.meta.applied_seq
        with self._has_applied:
            self._has_applied.notify_all()
        return left

    def wait_until_applied(self, positions: Mapping[int, int], timeout_seconds: float) -> bool:
        """Wait until Redis shows every shard at its seq, whoever projects. False when it is late.

        A Redis that does not answer shows nothing; it may come back in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            seconds = min(APPLIED_POLL_SECONDS, deadline - time.monotonic())
            # What we have applied ourselves Redis need not be asked about.
            with self._has_applied:
                if self._has_applied.wait_for(lambda: self._is_applied(positions), max(0, seconds)):
                    return True
            if self._shows(positions):
                return True
            if seconds <= 0:
                return False

    def _is_applied(self, positions: Mapping[int, int]) -> bool:
        return all(self._applied_seqs[number] >= seq for number, seq in positions.items())

    def _shows(self, positions: Mapping[int, int]) -> bool:
        try:
            metas = self._cache.read_metas(positions)
        except UnavailableError:
            return False
        return all(
            (meta := metas.get(number)) is not None and meta.applied_seq >= seq
            for number, seq in positions.items()
        )

    def _bring_forward(
        self, source: ShardSource, meta: Meta | None, rows: Sequence[Any] | None = None
    ) -> int:
        """Apply what a shard lacks, in order; `meta` was read before `source`.

        `rows` are those of the first batch, where they have been read with other shards' already.

        A meta that went backward within its life, with a Redis that is back at an older snapshot or
        a replica that was behind, is brought forward from there. That is safe: all that is written
        to a shard goes through one sequence of calls, each of them atomic, and such a Redis is as
        it was after some of the first of them. So every row up to the meta's seq is applied there,
        every row after it is applied again, and what a delayed fill of the same life puts in is
        replaced like anything older, since the record of a row that comes is never older than the
        row. Only where rows are missing, or somebody is who was erased since, is nothing left but
        a new life.
        """
        self._applied_seqs[source.number] = 0 if meta is None else meta.applied_seq
        if meta is not None and _is_ahead(meta, source):
            self._begin_epoch(source, meta)
            self._begin_new_life(source, meta)
            return 0
        if meta is None or meta.life != source.life:
            self._begin_new_life(source, meta)
            return 0
        applied = 0
        for _ in range(BATCHES_PER_TURN_MAX):
            if not _lacks_something(meta, source):
                break
            batch = self._next_batch(source, meta, rows)
            rows = None
            if batch is None:
                self._begin_new_life(source, meta)
                break
            outcome = self._cache.project(source.number, batch)
            if not outcome.is_accepted or outcome.meta is None:
                # Another projector was quicker, or the meta was lost: the next turn looks anew.
                break
            meta = outcome.meta
            count = batch.last_seq - batch.first_seq + 1
            applied += count
            self.counts.rows_applied += count
            self._applied_seqs[source.number] = meta.applied_seq
        return applied

    def _next_batch(
        self, source: ShardSource, meta: Meta, rows: Sequence[Any] | None
    ) -> Batch | None:
        """Make a batch of the outbox rows that follow; None when it can not be applied."""
        after = meta.applied_seq
        if rows is None:
            ranges = {source.number: self._range_after(source, meta)}
            rows = read_records_due(self._engine, ranges).get(source.number, ())
        last_seq = after + len(rows)
        is_contiguous = [row.seq for row in rows] == list(range(after + 1, last_seq + 1))
        is_whole = all(row.customer_id is not None and row.record is not None for row in rows)
        if not is_contiguous or not is_whole or (after < source.seq and not rows):
            return None
        return Batch(
            life=source.life,
            first_seq=after + 1,
            last_seq=last_seq,
            # What a roll-out changed is in the rows up to the seq that was read with it.
            publication=source.publication if last_seq == source.seq else 0,
            newest_publication=source.newest_publication,
            records={row.customer_id: bytes(row.record) for row in rows},
        )

    def _range_after(self, source: ShardSource, meta: Meta) -> tuple[int, int]:
        """Give after which seq the next batch of a shard begins, and at which it ends."""
        return meta.applied_seq, min(source.seq, meta.applied_seq + self._rows_per_batch)

    def _begin_epoch(self, source: ShardSource, meta: Meta) -> None:
        """Begin a later life of the ledger: this one lacks what Redis had from it."""
        seen_epoch = max(meta.life.epoch, source.life.epoch)
        epoch = raise_epoch(self._engine, seen_epoch)
        if epoch == self._last_epoch:
            return
        # Once for all shards, most of which are ahead together.
        self._last_epoch = epoch
        self.counts.epochs_begun += 1
        _logger.error(
            "Redis is ahead of PostgreSQL, which must have lost commits in a restore or fail-over: "
            "shard %d stands at %s in Redis, but at seq %d of %s in PostgreSQL; now in epoch %d",
            source.number,
            meta,
            source.seq,
            source.life,
            epoch,
        )

    def _begin_new_life(self, source: ShardSource, meta: Meta | None) -> None:
        drawn = self._draw_incarnations([(source, meta)], is_waiting=True)
        if source.number in drawn:
            self._begin_incarnation(source, meta, drawn[source.number])
        # Else another projector has drawn one: the next turn sees it begun, or draws again.

    def _draw_incarnations(
        self, seen: Sequence[Seen], *, is_waiting: bool = False
    ) -> Mapping[int, Meta]:
        if not seen:
            return {}
        return run_transaction(
            self._engine,
            lambda connection: draw_incarnations(connection, seen, is_waiting=is_waiting),
        )

    def _begin_incarnation(self, source: ShardSource, meta: Meta | None, drawn: Meta) -> None:
        self._applied_seqs[source.number] = 0
        if self._cache.begin_incarnation(source.number, drawn).is_accepted:
            self.counts.incarnations_begun += 1
            # One line for each shard is too much wherever Redis comes back empty.
            _logger.debug(
                "shard %d: Redis held %s, PostgreSQL %s; began %s",
                source.number,
                meta,
                source,
                drawn,
            )


def _is_another_life(meta: Meta | None, source: ShardSource) -> bool:
    """Tell whether Redis lacks a shard, or has it from before the life that PostgreSQL knows."""
    return meta is None or (meta.life != source.life and not _is_ahead(meta, source))


def _is_ahead(meta: Meta, source: ShardSource) -> bool:
    """Tell whether Redis shows more than PostgreSQL has, though it was read before.

    Whatever is in Redis was committed before, lives too, so PostgreSQL was set back since.
    """
    if meta.life.epoch != source.life.epoch:
        return meta.life.epoch > source.life.epoch
    return meta.life.incarnation > source.life.incarnation or meta.applied_seq > source.seq


def _lacks_something(meta: Meta, source: ShardSource) -> bool:
    return (
        meta.applied_seq < source.seq
        or (meta.applied_seq == source.seq and meta.publication < source.publication)
        or meta.newest_publication < source.newest_publication
    )


def _backoff_seconds(failures_in_a_row: int) -> float:
    doublings = min(failures_in_a_row, BACKOFF_DOUBLINGS_MAX)
    return min(BACKOFF_SECONDS_MAX, POLL_SECONDS * 2.0**doublings)
