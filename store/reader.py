"""Reading permissions for checks: from Redis where it can be trusted, else from PostgreSQL.

What lives here: when a cached record counts, and what is done when it does not. What a permission
timeline means for a question is decided in `decision.answer`.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Engine

from decision.errors import UnavailableError
from decision.scopes import Scope
from decision.timeline import NOBODY, PermissionTimeline
from store.cache import NOTHING_CACHED, Cache, CachedEntry
from store.database import reading
from store.meta import CacheLife, Meta
from store.publications import Catalogs, PublishedCatalog
from store.record import Record, decode
from store.sharding import shard_of
from store.shared_reads import SharedReads
from store.states import CurrentRecord, read_records
from store.token import Token

_logger = logging.getLogger(__name__)

_NOBODYS_VERSION: Final = 0


class Permissions(NamedTuple):
    """A customer's permissions as far as was asked, and the catalog under which they are right.

    Suspensions MUST be taken from that same catalog. `state_version` is 0 for an unknown customer.
    """

    timeline: PermissionTimeline
    state_version: int
    published: PublishedCatalog
    is_from_cache: bool

    @property
    def publication(self) -> int:
        """The number of the publication under which the permissions are right."""
        return self.published.number


class _Loaded(NamedTuple):
    """What one read of PostgreSQL found, and the newest publication in its snapshot."""

    published: PublishedCatalog
    records: Mapping[str, CurrentRecord]


class PermissionReader:
    """Reads permissions for checks. Safe to be used by several threads."""

    def __init__(self, engine: Engine, cache: Cache, catalogs: Catalogs) -> None:
        """Read from `cache`, and from the ledger's primary at `engine` what it cannot tell."""
        self._engine = engine
        self._cache = cache
        self._catalogs = catalogs
        self._reads = SharedReads(self._load)
        self._is_cache_lost = False

    def read(
        self,
        customer_ids: Sequence[str],
        scopes: Collection[Scope] | None = None,
        token: Token | None = None,
    ) -> list[Permissions]:
        """Give the permissions of customers for some scopes, or for all, in the order asked.

        With a token they show at least the write that answered it. The codes of `scopes` are codes
        of the newest catalog.

        Raises UnavailableError when Redis cannot tell and PostgreSQL does not answer, and
        OverloadedError when too many reads of PostgreSQL wait already.
        """
        entries = self._read_cache(customer_ids)
        published = self._catalog_for(entries, token)
        judged = [
            _from_cache(entry, shard_of(customer_id), published, scopes, token)
            for customer_id, entry in zip(customer_ids, entries, strict=True)
        ]
        missed = {
            customer_id: entry.meta
            for customer_id, entry, found in zip(customer_ids, entries, judged, strict=True)
            if found is None
        }
        read_instead = self._read_postgresql(missed, scopes) if missed else {}
        return [
            found if found is not None else read_instead[customer_id]
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

    def _catalog_for(self, entries: Iterable[CachedEntry], token: Token | None) -> PublishedCatalog:
        """Give the newest catalog, at least the newest that the cache or the token tells of."""
        published = self._catalogs.newest()
        told = max((_newest_told_by(entry) for entry in entries), default=0)
        if token is not None:
            told = max(told, token.publication)
        return published if told <= published.number else self._catalogs.refresh(told)

    def _read_postgresql(
        self, missed: Mapping[str, Meta | None], scopes: Collection[Scope] | None
    ) -> dict[str, Permissions]:
        loaded = self._reads.read(list(missed))
        self._fill(missed, loaded)
        return {
            customer_id: _from_postgresql(found.records.get(customer_id), found.published, scopes)
            for customer_id, found in loaded.items()
        }

    def _load(self, customer_ids: Collection[str]) -> _Loaded:
        with reading(self._engine) as connection:
            # One snapshot, so that no record can be of a later publication than the catalog.
            connection.execution_options(isolation_level="REPEATABLE READ")
            published = self._catalogs.newest_in(connection)
            return _Loaded(published, read_records(connection, customer_ids, published))

    def _fill(self, missed: Mapping[str, Meta | None], loaded: Mapping[str, _Loaded]) -> None:
        """Put what was read into Redis, under the life that was seen before the reading began."""
        fills: dict[tuple[int, CacheLife], dict[str, bytes]] = {}
        for customer_id, meta in missed.items():
            found = loaded[customer_id].records.get(customer_id)
            if meta is not None and found is not None and found.is_stored:
                place = fills.setdefault((shard_of(customer_id), meta.life), {})
                place[customer_id] = found.record
        try:
            for (number, life), records in fills.items():
                self._cache.fill(number, life, records)
        except UnavailableError:
            # The answer is known all the same; the next check misses again.
            _logger.debug("Redis could not be filled after misses", exc_info=True)


def _newest_told_by(entry: CachedEntry) -> int:
    if entry.meta is None:
        return 0
    of_record = entry.header.publication if entry.header is not None else 0
    return max(of_record, entry.meta.publication, entry.meta.newest_publication)


def _from_cache(
    entry: CachedEntry,
    shard_number: int,
    published: PublishedCatalog,
    scopes: Collection[Scope] | None,
    token: Token | None,
) -> Permissions | None:
    """Give what a cached entry says if it counts: None is a miss."""
    meta, has_key, header, record = entry
    if meta is None or (token is not None and not token.is_reached_by(shard_number, meta)):
        return None
    if record is None or header is None:
        # A key that holds nothing of use says nothing, not even that nobody is known by it.
        if has_key or not meta.is_complete:
            return None
        return Permissions(NOBODY, _NOBODYS_VERSION, published, is_from_cache=True)
    # The catalog at hand is no older than either, so a record of another one is outdated.
    if max(header.publication, meta.publication) != published.number:
        return None
    try:
        decoded = decode(record, published.numbers, scopes)
    except (ValueError, LookupError):
        _logger.exception("a cached record of shard %d is damaged", shard_number)
        return None
    return _permissions(decoded, published, is_from_cache=True)


def _from_postgresql(
    found: CurrentRecord | None, published: PublishedCatalog, scopes: Collection[Scope] | None
) -> Permissions:
    if found is None:
        return Permissions(NOBODY, _NOBODYS_VERSION, published, is_from_cache=False)
    return _permissions(
        decode(found.record, published.numbers, scopes), published, is_from_cache=False
    )


def _permissions(
    decoded: Record, published: PublishedCatalog, *, is_from_cache: bool
) -> Permissions:
    # Who became unknown because every event was voided has a state all the same.
    version = decoded.header.version if decoded.timeline.is_known else _NOBODYS_VERSION
    return Permissions(decoded.timeline, version, published, is_from_cache)
