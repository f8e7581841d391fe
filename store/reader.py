"""Reading permissions for checks: from Redis where it can be trusted, else from PostgreSQL.

What lives here: when a cached record counts, and what is done when it does not. What a permission
timeline means for a question is decided in `decision.answer`.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple

from sqlalchemy import Engine

from decision.errors import OverloadedError, UnavailableError
from decision.instants import Instant
from decision.scopes import Scope
from decision.timeline import NOBODY, PermissionTimeline
from store.cache import NOTHING_CACHED, Cache, CachedEntry
from store.catalog_steps import CatalogSteps
from store.database import reading
from store.guard import Guard, GuardKeeper
from store.ledger_clock import read_now
from store.lookups import UNCOUNTED, LookupCounter, LookupResult, why_missed
from store.meta import Meta
from store.publications import Catalogs, PublishedCatalog
from store.record import Header, decode, decode_at
from store.sharding import shard_of
from store.shared_reads import (
    IDS_WAITING_MAX,
    READS_IN_FLIGHT_MAX,
    SharedReadCounts,
    SharedReads,
)
from store.states import CurrentRecord, read_records
from store.token import Token

_logger = logging.getLogger(__name__)

_NOBODYS_VERSION: Final = 0


class Permissions(NamedTuple):
    """A customer's permissions as far as was asked, and the catalog under which they are right.

    Suspensions MUST be taken from that same catalog. `state_version` is 0 for an unknown customer.
    They are right at `now` and not before. What `is_outside_promise` was read from the cache
    without a lease, as the operator chose.
    """

    timeline: PermissionTimeline
    state_version: int
    published: PublishedCatalog
    now: Instant
    is_from_cache: bool
    is_outside_promise: bool = False

    @property
    def publication(self) -> int:
        """The number of the publication under which the permissions are right."""
        return self.published.number


class _Loaded(NamedTuple):
    """What one read of PostgreSQL found, the newest publication in its snapshot, and its now."""

    published: PublishedCatalog
    now: Instant
    records: Mapping[str, CurrentRecord]


class ReadLimits(NamedTuple):
    """What an operator chooses about reads: how many PostgreSQL gets, and how long without lease.

    `reads_max` are under way at once, `reads_waiting_max` customers wait. With a grace the cache is
    used for so long after the lease was lost, where PostgreSQL does not answer.
    """

    reads_max: int = READS_IN_FLIGHT_MAX
    reads_waiting_max: int = IDS_WAITING_MAX
    lost_lease_grace_seconds: float = 0.0


DEFAULT_LIMITS: Final = ReadLimits()


class _Asked(NamedTuple):
    """What a check wants to know; also of later instants, if it `is_for_later`."""

    scopes: tuple[Scope, ...] | None
    token: Token | None
    now: Instant
    at: Instant
    is_for_later: bool


class PermissionReader:
    """Reads permissions for checks. Safe to be used by several threads."""

    def __init__(
        self,
        engine: Engine,
        cache: Cache,
        catalogs: Catalogs,
        keeper: GuardKeeper,
        limits: ReadLimits = DEFAULT_LIMITS,
        while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
        lookups: LookupCounter = UNCOUNTED,
    ) -> None:
        """Read from `cache` what the guard lets count, the rest from the primary at `engine`.

        `while_waiting` is entered by a thread that waits for PostgreSQL, as long as it does.
        `lookups` counts what comes of looking into the cache.
        """
        self._cache = cache
        self._catalogs = catalogs
        self._keeper = keeper
        self._engine = engine
        self._lost_lease_grace_seconds = limits.lost_lease_grace_seconds
        self._reads = SharedReads(
            self._load, in_flight_max=limits.reads_max, waiting_max=limits.reads_waiting_max
        )
        self._while_waiting = while_waiting
        self._lookups = lookups
        self._steps = CatalogSteps(catalogs)
        self._is_cache_lost = False

    def read_counts(self) -> SharedReadCounts:
        """Tell what was read from PostgreSQL so far, and what waits to be."""
        return self._reads.counts()

    def now(self) -> Instant:
        """Give now, as the guard has it."""
        return self._keeper.now()

    def read(
        self,
        customer_ids: Sequence[str],
        scopes: Collection[Scope] | None = None,
        token: Token | None = None,
        at: Instant | None = None,
        *,
        is_for_later: bool = False,
    ) -> list[Permissions]:
        """Give the permissions of customers for some scopes, or for all, in the order asked.

        They are right for the instant `at`, None being now, or also for later ones if wanted, and
        for `scopes`, codes of the newest catalog. With a token they show at least the write that
        answered it. MUST be called after the request was read (`design.md`, "No stale ALLOW",
        step 3).

        Raises UnavailableError when Redis can not tell and PostgreSQL does not answer, and
        OverloadedError when too many reads of PostgreSQL wait already.
        """
        guard = self._keeper.current()
        entries = self._read_cache(customer_ids)
        published = self._catalog_for(entries, token, guard)
        now = guard.now()
        wanted = None if scopes is None else tuple(scopes)
        asked = _Asked(wanted, token, now, now if at is None else max(at, now), is_for_later)
        judged: list[Permissions | None] = []
        found_all: list[Permissions] = []
        # A loop, and what is rare apart: a comprehension would make its own frame for every check.
        for customer_id, entry in zip(customer_ids, entries, strict=True):
            found = self._from_cache(entry, customer_id, published, asked, guard)
            judged.append(found)
            if found is not None:
                found_all.append(found)
        leased = guard.is_lease_valid()
        if leased and len(found_all) == len(judged):
            self._lookups.count_hits(len(found_all))
            return found_all
        for customer_id, entry, one in zip(customer_ids, entries, judged, strict=True):
            self._count(customer_id, entry, published, token, guard, one if leased else None)
        metas = [entry.meta for entry in entries]
        return self._read_missed(customer_ids, metas, judged, wanted, guard, leased=leased)

    def _count(
        self,
        customer_id: str,
        entry: CachedEntry,
        published: PublishedCatalog,
        token: Token | None,
        guard: Guard,
        found: Permissions | None,
    ) -> None:
        """Count what came of one look-up among some of which not all were hits."""
        if found is not None:
            self._lookups.count_hits(1)
        elif not guard.is_lease_valid():
            self._lookups.count_miss(LookupResult.NO_LEASE)
        elif self._is_cache_lost:
            self._lookups.count_miss(LookupResult.REDIS_UNAVAILABLE)
        else:
            self._lookups.count_miss(*why_missed(customer_id, entry, published, token, guard))

    def _read_missed(
        self,
        customer_ids: Sequence[str],
        metas: Sequence[Meta | None],
        judged: Sequence[Permissions | None],
        wanted: tuple[Scope, ...] | None,
        guard: Guard,
        *,
        leased: bool,
    ) -> list[Permissions]:
        """Read from PostgreSQL what the cache could not tell, and without a lease everything."""
        missed = {
            customer_id: meta
            for customer_id, meta, found in zip(customer_ids, metas, judged, strict=True)
            if found is None or not leased
        }
        try:
            read_instead = self._read_postgresql(missed, wanted)
        except (UnavailableError, OverloadedError):
            if None in judged or not guard.is_lease_valid(self._lost_lease_grace_seconds):
                raise
            # The operator chose to go on for a while with what the cache says.
            return [
                found._replace(is_outside_promise=True) for found in judged if found is not None
            ]
        return [
            read_instead[customer_id] if found is None or not leased else found
            for customer_id, found in zip(customer_ids, judged, strict=True)
        ]

    def _read_cache(self, customer_ids: Sequence[str]) -> list[CachedEntry]:
        try:
            entries = self._cache.read(customer_ids)
        except UnavailableError:
            # Told once and not with every check, of which there may be thousands a second.
            if not self._is_cache_lost:
                self._is_cache_lost = True
                _logger.warning("Redis does not answer: PostgreSQL is asked", exc_info=True)
            return [NOTHING_CACHED] * len(customer_ids)
        if self._is_cache_lost:
            self._is_cache_lost = False
            _logger.warning("Redis answers again")
        return entries

    def _catalog_for(
        self, entries: Sequence[CachedEntry], token: Token | None, guard: Guard
    ) -> PublishedCatalog:
        """Give the newest catalog, at least the newest that anybody told of."""
        told = max(guard.publication, token.publication if token is not None else 0)
        for _, meta, _, header, _ in entries:
            if meta is not None:
                of_record = header.publication if header is not None else 0
                told = max(told, of_record, meta.publication, meta.newest_publication)
        known = self._catalogs.known(told, guard.epoch)
        if known is not None:
            return known
        with self._while_waiting():
            return self._catalogs.refresh(told, guard.epoch)

    def _from_cache(
        self,
        entry: CachedEntry,
        customer_id: str,
        published: PublishedCatalog,
        asked: _Asked,
        guard: Guard,
    ) -> Permissions | None:
        """Give what a cached entry says if it counts, leases aside: None is a miss."""
        number, meta, has_key, header, record = entry
        # A number means another publication in another life of the ledger.
        if meta is None or published.epoch != guard.epoch:
            return None
        if not _is_reached(number, customer_id, meta, header, asked.token, guard):
            return None
        if record is None or header is None:
            # A key that holds nothing of use says nothing, not even that nobody is known by it.
            is_nobodys = meta.is_complete and not has_key
            return _nobodys(published, asked.now, is_from_cache=True) if is_nobodys else None
        right_under = max(header.publication, meta.publication)
        is_newest = right_under == published.number
        try:
            timeline = _timeline_in(record, header, published, asked, is_newest=is_newest)
        except (ValueError, LookupError):
            _logger.exception("a cached record of shard %d is damaged", shard_of(customer_id))
            return None
        # A restore may have taken the newer one away.
        if is_newest or (
            right_under < published.number
            and self._steps.keep(right_under, published, timeline, asked.scopes, asked.at)
        ):
            return _permissions(header, timeline, published, asked.now, is_from_cache=True)
        return None

    def _read_postgresql(
        self, missed: Mapping[str, Meta | None], scopes: tuple[Scope, ...] | None
    ) -> dict[str, Permissions]:
        with self._while_waiting():
            loaded = self._reads.read(list(missed))
        self._fill(missed, loaded)
        return {
            customer_id: _from_postgresql(found.records.get(customer_id), found, scopes)
            for customer_id, found in loaded.items()
        }

    def _load(self, customer_ids: Collection[str]) -> _Loaded:
        with reading(self._engine) as connection:
            # One snapshot, so that no record can be of a later publication than the catalog.
            connection.execution_options(isolation_level="REPEATABLE READ")
            published = self._catalogs.newest_in(connection)
            records = read_records(connection, customer_ids, published)
            return _Loaded(published, read_now(connection), records)

    def _fill(self, missed: Mapping[str, Meta | None], loaded: Mapping[str, _Loaded]) -> None:
        """Put what was read into Redis, under the life that was seen before the reading began."""
        fills: dict[tuple[int, Meta], dict[str, bytes]] = {}
        for customer_id, meta in missed.items():
            found = loaded[customer_id].records.get(customer_id)
            # What was read in another life of the ledger, or at what is no primary, is not put in.
            is_of_life = meta is not None and loaded[customer_id].published.epoch == meta.life.epoch
            if meta is not None and is_of_life and found is not None and found.is_stored:
                place = fills.setdefault((shard_of(customer_id), meta), {})
                place[customer_id] = found.record
        try:
            for (number, meta), records in fills.items():
                self._cache.fill(number, meta.life, records, seen_seq=meta.applied_seq)
        except UnavailableError:
            # The answer is known all the same; the next check misses again.
            _logger.debug("Redis could not be filled after misses", exc_info=True)


def _is_reached(
    number: int,
    customer_id: str,
    meta: Meta,
    header: Header | None,
    token: Token | None,
    guard: Guard,
) -> bool:
    """Apply the allow rule to an entry, leases and catalogs aside (`design.md`, step 5)."""
    return (
        guard.is_of_epoch(meta)
        and guard.is_shard_reached(number, meta)
        and guard.is_customer_reached(customer_id, meta, header)
        and (token is None or token.is_reached_by(number, meta))
    )


def _timeline_in(
    record: bytes, header: Header, published: PublishedCatalog, asked: _Asked, *, is_newest: bool
) -> PermissionTimeline:
    """Read what a record says, as far as is asked; other catalogs ask for more of it than is."""
    numbers = published.numbers
    if asked.scopes is None:
        return decode(record, numbers).timeline
    selection = numbers.selection(asked.scopes)
    if is_newest and not asked.is_for_later:
        return decode_at(record, header, numbers, selection, asked.at)
    return decode(record, numbers, selection).timeline


def _from_postgresql(
    found: CurrentRecord | None, loaded: _Loaded, scopes: tuple[Scope, ...] | None
) -> Permissions:
    if found is None:
        return _nobodys(loaded.published, loaded.now, is_from_cache=False)
    numbers = loaded.published.numbers
    selection = None if scopes is None else numbers.selection(scopes)
    header, timeline = decode(found.record, numbers, selection)
    return _permissions(header, timeline, loaded.published, loaded.now, is_from_cache=False)


def _nobodys(published: PublishedCatalog, now: Instant, *, is_from_cache: bool) -> Permissions:
    return Permissions(NOBODY, _NOBODYS_VERSION, published, now, is_from_cache)


def _permissions(
    header: Header,
    timeline: PermissionTimeline,
    published: PublishedCatalog,
    now: Instant,
    *,
    is_from_cache: bool,
) -> Permissions:
    # Who became unknown because every event was voided has a state all the same.
    version = header.version if header.is_known else _NOBODYS_VERSION
    return Permissions(timeline, version, published, now, is_from_cache)
