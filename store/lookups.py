"""What came of looking customers up in Redis, in words for those who watch a server.

What lives here: telling why a cached entry did not count, once the allow rule has said so. It goes
through the clauses of `reader` again, in their order, and decides nothing: what is told here is
counted, and the answer comes from PostgreSQL.
"""

from enum import Enum
from typing import Final, Protocol

from store.cached_entries import CachedEntry
from store.guard import Guard
from store.publications import PublishedCatalog
from store.token import Token


class LookupResult(Enum):
    """What came of one look-up."""

    HIT = "hit"
    ABSENT = "absent"
    STALE = "stale"
    NO_LEASE = "no_lease"
    REDIS_UNAVAILABLE = "redis_unavailable"
    DAMAGED = "damaged"


class StaleCause(Enum):
    """What a cached entry that may be out of date did not show."""

    EPOCH = "epoch"
    SHARD = "shard"
    CUSTOMER = "customer"
    TOKEN = "token"  # noqa: S105 - what a check carries, and no secret
    CATALOG = "catalog"


class LookupCounter(Protocol):
    """Counts look-ups. Safe to be used by several threads."""

    def count_hits(self, count: int) -> None:
        """Count customers for whom Redis answered."""

    def count_miss(self, result: LookupResult, cause: StaleCause | None = None) -> None:
        """Count one for whom it did not; what is STALE has a cause."""


class _Uncounted:
    def count_hits(self, count: int) -> None:
        pass

    def count_miss(self, result: LookupResult, cause: StaleCause | None = None) -> None:
        pass


UNCOUNTED: Final[LookupCounter] = _Uncounted()
"""For those who do not want to know."""

Missed = tuple[LookupResult, StaleCause | None]


def why_missed(
    customer_id: str,
    entry: CachedEntry,
    published: PublishedCatalog,
    token: Token | None,
    guard: Guard,
) -> Missed:
    """Tell why an entry that did not count did not, the lease aside."""
    number, meta, _, header, record = entry
    if meta is None:
        return LookupResult.ABSENT, None
    is_behind = {
        StaleCause.EPOCH: published.epoch != guard.epoch or not guard.is_of_epoch(meta),
        StaleCause.SHARD: not guard.is_shard_reached(number, meta),
        StaleCause.CUSTOMER: not guard.is_customer_reached(customer_id, meta, header),
        StaleCause.TOKEN: token is not None and not token.is_reached_by(number, meta),
        StaleCause.CATALOG: header is not None
        and max(header.publication, meta.publication) != published.number,
    }
    cause = next((cause for cause, is_so in is_behind.items() if is_so), None)
    if cause is not None:
        return LookupResult.STALE, cause
    if record is None or header is None:
        return LookupResult.ABSENT, None
    return LookupResult.DAMAGED, None
