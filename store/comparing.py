"""Comparing what Redis holds with the states in PostgreSQL, while writers are at work.

What lives here: one comparison in which what merely lags is no difference. The walks over customers
are their callers', and so is what is done about a difference.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

from sqlalchemy import Engine, Select, func, select

from store.cache import Cache, CachedEntry
from store.database import reading
from store.meta import CacheLife
from store.projector import Projector
from store.record import decode_header, stamp
from store.schema import customer, installation, shard, state, subject
from store.subjects import find_subjects

COMPARISONS_PER_CUSTOMER_MAX: Final = 3
"""How often a customer is compared whose record is changing just now, before it is left at that."""

TURNS_TO_CATCH_UP_MAX: Final = 1000
"""Turns of a projector after which a shard counts as brought forward, writers or not."""

_UNSTAMPED: Final = CacheLife(0, 0)


class Verdict(Enum):
    """How what Redis holds for a customer id compares with PostgreSQL."""

    EQUAL = "EQUAL"
    MISSING = "MISSING"
    """A check would turn to PostgreSQL: nothing of use is cached, and nothing else is said."""

    LOST = "LOST"
    """Nothing is cached in a shard that is marked complete: a check would know nobody."""

    OTHER_CONTENT = "OTHER_CONTENT"
    """The state's version, and not the state's bytes."""

    AHEAD = "AHEAD"
    """A version that the state has not reached."""

    BEHIND = "BEHIND"
    """An older version than the meta says is applied."""

    UNSETTLED = "UNSETTLED"
    """Writers were at work on the customer all the time, so that nothing can be said."""


HARMLESS: Final = frozenset({Verdict.EQUAL, Verdict.MISSING, Verdict.UNSETTLED})


class StoredCustomer(NamedTuple):
    """A customer id with the state that answers for it, and how its shard stood just then."""

    subject: int
    customer_id: str
    version: int
    record: bytes
    life: CacheLife
    seq: int


class Compared(NamedTuple):
    """A customer id's verdict with what was compared; `stored` is None for somebody unknown."""

    verdict: Verdict
    entry: CachedEntry
    stored: StoredCustomer | None


STORED_CUSTOMERS: Final[Select[tuple[int, str, int, bytes, int, int, int]]] = select(
    subject.c.number,
    customer.c.customer_id,
    state.c.version,
    state.c.record,
    installation.c.epoch,
    shard.c.incarnation,
    shard.c.seq,
).select_from(
    subject.join(customer, customer.c.subject == subject.c.number)
    .join(state, state.c.subject == subject.c.root)
    .join(shard, shard.c.number == subject.c.shard)
    .join(installation, installation.c.is_only_row)
)
"""Customers with their states; one statement, so that all of a row is of one instant."""


def read_stored(
    engine: Engine, query: Select[tuple[int, str, int, bytes, int, int, int]]
) -> list[StoredCustomer]:
    """Run a query that was made of STORED_CUSTOMERS. Raises UnavailableError."""
    with reading(engine) as connection:
        return [
            StoredCustomer(
                row.number,
                row.customer_id,
                row.version,
                bytes(row.record),
                CacheLife(row.epoch, row.incarnation),
                row.seq,
            )
            for row in connection.execute(query)
        ]


def find_records_of_nobody(
    engine: Engine, cache: Cache, customer_ids: Sequence[str]
) -> dict[str, CachedEntry]:
    """Give the entries in which Redis knows somebody whom PostgreSQL does not.

    Redis is read first: whoever has a record is committed, so PostgreSQL knows them afterwards.
    Raises UnavailableError.
    """
    entries = dict(zip(customer_ids, cache.read(customer_ids), strict=True))
    found = {
        customer_id: entry
        for customer_id, entry in entries.items()
        if entry.header is not None and entry.header.is_known
    }
    if not found:
        return {}
    with reading(engine) as connection:
        known = find_subjects(connection, found)
    return {one: entry for one, entry in found.items() if one not in known}


def find_keys_of_nobody(engine: Engine, cache: Cache, customer_ids: Sequence[str]) -> list[str]:
    """Give the ids of keys that say of nobody anything, and by which PostgreSQL knows nobody.

    So does a Redis that went back to before an erasure. Raises UnavailableError.
    """
    entries = zip(customer_ids, cache.read(customer_ids), strict=True)
    silent = [
        customer_id
        for customer_id, entry in entries
        if entry.has_key and (entry.header is None or not entry.header.is_known)
    ]
    if not silent:
        return []
    with reading(engine) as connection:
        known = find_subjects(connection, silent)
    return [customer_id for customer_id in silent if customer_id not in known]


def catch_up(projector: Projector, number: int) -> None:
    """Bring a shard forward until nothing is left to apply. Raises UnavailableError."""
    for _ in range(TURNS_TO_CATCH_UP_MAX):
        if not projector.project_shard(number):
            return


class CacheComparison:
    """Compares customers of one shard at a time. For one thread."""

    def __init__(self, engine: Engine, cache: Cache, projector: Projector) -> None:
        """Compare `cache` with `engine`; `projector` brings forward what lags."""
        self._engine = engine
        self._cache = cache
        self._projector = projector

    def compare(self, number: int, customer_ids: Sequence[str]) -> dict[str, Compared]:
        """Compare customer ids of shard `number`.

        PostgreSQL is read first: a shard that Redis then shows applied up to there holds at least
        these versions. What Redis shows beyond them is committed, so PostgreSQL is read once more
        for it. A version's bytes never change, so the same version can be compared at any time.

        Raises UnavailableError when Redis or PostgreSQL does not answer.
        """
        compared: dict[str, Compared] = {}
        open_ids = list(customer_ids)
        for _ in range(COMPARISONS_PER_CUSTOMER_MAX):
            compared |= self._compare_once(open_ids)
            open_ids = [one for one in open_ids if compared[one].verdict is Verdict.UNSETTLED]
            if not open_ids:
                break
            catch_up(self._projector, number)
        return compared

    def _compare_once(self, customer_ids: Sequence[str]) -> dict[str, Compared]:
        before = self._read_stored(customer_ids)
        entries = dict(zip(customer_ids, self._cache.read(customer_ids), strict=True))
        changed = [one for one in customer_ids if _is_beyond(entries[one], before.get(one))]
        after = {**before, **self._read_stored(changed)} if changed else before
        return {
            customer_id: Compared(
                _verdict(entry, before.get(customer_id), after.get(customer_id)),
                entry,
                after.get(customer_id),
            )
            for customer_id, entry in entries.items()
        }

    def _read_stored(self, customer_ids: Collection[str]) -> Mapping[str, StoredCustomer]:
        found = read_stored(
            self._engine,
            STORED_CUSTOMERS.where(customer.c.customer_id == func.any(list(customer_ids))),
        )
        return {one.customer_id: one for one in found}


def _is_beyond(entry: CachedEntry, before: StoredCustomer | None) -> bool:
    """Tell whether Redis shows what PostgreSQL did not show yet when it was read before."""
    return entry.header is not None and (before is None or entry.header.version > before.version)


def _verdict(
    entry: CachedEntry, before: StoredCustomer | None, after: StoredCustomer | None
) -> Verdict:
    """Judge an entry that was read between two readings of PostgreSQL."""
    _, meta, has_key, header, record = entry
    if meta is None or (record is None and (has_key or not meta.is_complete)):
        return Verdict.MISSING
    is_applied = before is not None and meta.life == before.life and meta.applied_seq >= before.seq
    if record is None or header is None:
        if before is None or not decode_header(before.record).is_known:
            # As whoever nothing names is answered, who is being erased is too.
            return Verdict.EQUAL
        return Verdict.LOST if is_applied else Verdict.UNSETTLED
    if after is None:
        return Verdict.AHEAD if header.is_known else Verdict.EQUAL
    if header.version < after.version:
        # One that came between the two readings can not be read from PostgreSQL any more.
        is_of_before = before is not None and header.version < before.version
        return Verdict.BEHIND if is_applied and is_of_before else Verdict.UNSETTLED
    return _verdict_of_newest(record, header.version, after)


def _verdict_of_newest(record: bytes, version: int, after: StoredCustomer) -> Verdict:
    if version > after.version:
        return Verdict.AHEAD
    is_equal = stamp(record, *_UNSTAMPED) == stamp(after.record, *_UNSTAMPED)
    return Verdict.EQUAL if is_equal else Verdict.OTHER_CONTENT
