"""The reconciler itself: step by step through all customers, at a steady rate.

What lives here: the order in which a step looks at things and has them repaired, and the pace.
States come first, so that Redis is compared with states that are right.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from sqlalchemy import Engine

from decision.errors import UnavailableError
from store.cache import Cache
from store.comparing import (
    CacheComparison,
    catch_up,
    find_keys_of_nobody,
    find_records_of_nobody,
)
from store.database import reading
from store.erasing import NotAppliedError, forget_stranger
from store.floors import Narrowing
from store.meta import CacheLife
from store.projector import Projector
from store.publications import Catalogs
from store.reconciling.differences import Difference, ReconcilerCounts
from store.reconciling.examining import Examined, Examiner
from store.reconciling.records import FoundInRecords, RecordExaminer, examine_meta
from store.reconciling.repairing import Repairer, Rewritten
from store.reconciling.walking import Page, Walk
from store.sharding import shard_of
from store.subjects import Member, find_roots, persons_of_roots
from store.writing import read_recording

CUSTOMERS_PER_SECOND: Final = 50
"""How many customers a reconciler compares in a second when nothing else is said."""

CUSTOMERS_PER_STEP_MAX: Final = 50
CUSTOMERS_PER_STEP_MIN: Final = 10
"""What a step counts as at least, for the pace: it has its price even in an empty shard."""

SUMMARY_SECONDS: Final = 60.0
"""How often the counts are logged while there are differences."""

_logger = logging.getLogger(__name__)


class Reconciler:
    """Compares customers and repairs what differs. For one thread; several may work side by side.

    `counts` may be read from any thread.
    """

    def __init__(
        self,
        engine: Engine,
        cache: Cache,
        catalogs: Catalogs,
        announce: Callable[[Mapping[int, int]], None],
        tell: Callable[[Narrowing], object],
        *,
        customers_per_second: float = CUSTOMERS_PER_SECOND,
        draw: random.Random | None = None,
    ) -> None:
        """Reconcile `cache` and the states in `engine` with the ledger in `engine`.

        After each repair `announce` is told the positions of the shards, and `tell` what no
        decision process may rely on any more.
        """
        self._engine = engine
        self._cache = cache
        self._catalogs = catalogs
        self._announce = announce
        self._tell = tell
        self._customers_per_second = customers_per_second
        self._projector = Projector(engine, cache)
        self._comparison = CacheComparison(engine, cache, self._projector)
        self._repairer = Repairer(engine, catalogs)
        # Nothing is secret about whom it looks at next.
        self._walk = Walk(engine, draw or random.Random(), CUSTOMERS_PER_STEP_MAX)  # noqa: S311
        self._record_examiner = RecordExaminer(cache, catalogs)
        self._scanned: Iterator[str] | None = None
        self._scan_due_in_round = 0
        self.counts = ReconcilerCounts()

    def run(self, stop: threading.Event) -> None:
        """Go through all customers again and again until `stop` is set, at the rate stated.

        Raises what `step` raises; to be run again then.
        """
        differences_told, told_at = self.counts.differences_found, time.monotonic()
        try:
            while not stop.is_set():
                began_at = time.monotonic()
                compared = max(self.step(), CUSTOMERS_PER_STEP_MIN)
                now = time.monotonic()
                if now - told_at >= SUMMARY_SECONDS:
                    self._summarise(differences_told)
                    differences_told, told_at = self.counts.differences_found, now
                stop.wait(max(0.0, compared / self._customers_per_second - (now - began_at)))
        finally:
            self._summarise(differences_told)

    def _summarise(self, differences_told: int) -> None:
        if self.counts.differences_found != differences_told:
            _logger.info("reconciled so far: %s", self.counts.summary())

    def step(self) -> int:
        """Compare one page of customers, have what differs repaired, and give how many they were.

        Raises UnavailableError when Redis or PostgreSQL does not answer.
        """
        try:
            page = self._walk.next_page()
            if page.subjects:
                self._check_states(page)
            self._check_meta(page.shard)
            if page.subjects:
                self._check_records(page)
            self._check_strangers(max(len(page.subjects), CUSTOMERS_PER_STEP_MIN))
        except BaseException:
            self.counts.failures += 1
            raise
        self.counts.rounds = self._walk.rounds
        self.counts.customers_compared += len(page.subjects)
        return len(page.subjects)

    def _check_states(self, page: Page) -> None:
        """Compare the states of a page's persons with their events."""
        with reading(self._engine) as connection:
            # One snapshot, so that a write is in all of what is compared or in nothing of it.
            connection.execution_options(isolation_level="REPEATABLE READ")
            recording = read_recording(connection, self._catalogs)
            roots = find_roots(connection, [walked.subject for walked in page.subjects])
            persons = persons_of_roots(connection, set(roots.values()))
            examined = Examiner(
                connection, self._catalogs, recording.published, recording.now
            ).examine(persons.values())
        different = [one for one in examined if one.differences]
        if different:
            self._repair_states(different)

    def _repair_states(self, different: Sequence[Examined]) -> None:
        members = [member for one in different for member in one.person.members]
        with self._alarm_if_defective([found for one in different for found in one.differences]):
            rewritten = self._repairer.write_anew(
                [one.person.root for one in different], versions_shown=self._versions_shown(members)
            )
        self._tell_of(rewritten)

    def _versions_shown(self, members: Sequence[Member]) -> Mapping[int, int]:
        """Give the versions that Redis shows for persons, which are to be surpassed.

        Of a Redis that does not answer nobody knows; it is compared when it answers again.
        """
        named = [member for member in members if member.customer_id]
        try:
            entries = self._cache.read([member.customer_id for member in named])
        except UnavailableError:
            return {}
        return {
            member.subject: entry.header.version
            for member, entry in zip(named, entries, strict=True)
            if entry.header is not None
        }

    def _check_meta(self, number: int) -> None:
        found = examine_meta(self._engine, self._cache, number)
        if found.difference is None:
            return
        self.counts.alarm([found.difference])
        if found.is_of_publications:
            self._repairer.end_life(number, found.life)
        # The projector begins another life, or even epoch, by itself when it sees such a meta.
        catch_up(self._projector, number)
        self.counts.repaired += 1

    def _check_records(self, page: Page) -> None:
        """Compare what Redis holds for a page's customers with states that are right by now."""
        customer_ids = [walked.customer_id for walked in page.subjects if walked.customer_id]
        found = self._examine_records(page.shard, customer_ids)
        stubborn = False
        if found.suspects:
            differences = [suspect.difference for suspect in found.suspects]
            with self._alarm_if_defective(differences):
                rewritten = self._repairer.write_anew((), found.suspects)
            self._tell_of(rewritten)
            found = self._examine_records(page.shard, customer_ids)
            # What even a newer version does not replace goes with all of the shard's life.
            stubborn = bool(found.suspects)
        if stubborn or found.ending:
            self._end_life(page.shard, found.life, found.ending, found.beyond)
        if found.hopeless:
            self.counts.alarm(found.hopeless)
            self.counts.failures += len(found.hopeless)

    def _examine_records(self, number: int, customer_ids: Sequence[str]) -> FoundInRecords:
        compared = self._comparison.compare(number, customer_ids)
        return self._record_examiner.examine(number, compared)

    def _check_strangers(self, count: int) -> None:
        """Look among the next `count` records for those of whom no walk over PostgreSQL meets."""
        customer_ids = self._next_scanned(count)
        found: dict[tuple[int, CacheLife], list[Difference]] = {}
        strangers = find_records_of_nobody(self._engine, self._cache, customer_ids)
        for customer_id, entry in strangers.items():
            if entry.meta is not None:
                number = shard_of(customer_id)
                found.setdefault((number, entry.meta.life), []).append(
                    self._record_examiner.of_nobody(number, entry)
                )
        for (number, life), differences in found.items():
            self._end_life(number, life, differences)
        self._forget_nobodys(customer_ids)

    def _forget_nobodys(self, customer_ids: Sequence[str]) -> None:
        """Remove keys that are left of whoever is erased: they name them, and count for nothing."""
        for customer_id in find_keys_of_nobody(self._engine, self._cache, customer_ids):
            try:
                forget_stranger(self._engine, self._cache, customer_id)
            except NotAppliedError:
                # The shard's cache is being begun anew: the next round meets the key again.
                return

    def _next_scanned(self, count: int) -> list[str]:
        """Go on through Redis, at most once a round, as it may hold other keys than ours too."""
        if self._scanned is None and self._walk.rounds >= self._scan_due_in_round:
            self._scanned = self._cache.scan_customer_ids()
            self._scan_due_in_round = self._walk.rounds + 1
        if self._scanned is None:
            return []
        try:
            customer_ids = list(islice(self._scanned, count))
        except UnavailableError:
            self._scanned = None
            raise
        if len(customer_ids) < count:
            self._scanned = None
        self.counts.records_scanned += len(customer_ids)
        return customer_ids

    def _end_life(
        self, number: int, life: CacheLife, differences: Sequence[Difference], beyond: int = 0
    ) -> None:
        """End a life of a shard's cache and see another begin. Who comes second does nothing."""
        if self._repairer.end_life(number, life, beyond):
            self.counts.alarm(differences)
            catch_up(self._projector, number)
            self.counts.repaired += len(differences)

    def _tell_of(self, rewritten: Rewritten) -> None:
        """Tell everybody concerned of a repair that is committed."""
        if not rewritten.differences:
            # Somebody else was quicker.
            return
        self.counts.alarm(rewritten.differences)
        self._announce(rewritten.positions)
        if not rewritten.narrowing.is_empty:
            self._tell(rewritten.narrowing)
        for number in rewritten.positions:
            catch_up(self._projector, number)
        self.counts.repaired += len(rewritten.differences)

    @contextmanager
    def _alarm_if_defective(self, found: Collection[Difference]) -> Iterator[None]:
        """Say aloud what was found also where a repair fails that will not go well next time."""
        try:
            yield
        except UnavailableError:
            raise
        except Exception:
            self.counts.alarm(found)
            raise
