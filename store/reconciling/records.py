"""Finding what is wrong in Redis, beside states that follow from the ledger.

What lives here: which difference a comparison shows, and what it could have done. How records are
compared while writers are at work is in `store.comparing`; what is done about it in `worker`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Engine

from decision.timeline import NOBODY, PermissionTimeline
from store import record
from store.cache import Cache, CachedEntry
from store.clocks import wall_clock
from store.comparing import HARMLESS, Compared, StoredCustomer, Verdict
from store.database import reading
from store.meta import CacheLife, decode_meta
from store.publications import Catalogs
from store.reconciling.differences import Difference, DifferenceKind, difference_of
from store.reconciling.repairing import Suspect
from store.record import Header
from store.shard_sources import read_sources

_KINDS: Final[Mapping[Verdict, DifferenceKind]] = {
    Verdict.LOST: DifferenceKind.RECORD_LOST,
    Verdict.OTHER_CONTENT: DifferenceKind.RECORD_CONTENT,
    Verdict.AHEAD: DifferenceKind.RECORD_AHEAD,
    Verdict.BEHIND: DifferenceKind.RECORD_BEHIND,
}
_UNREADABLE_VERSION: Final = 0
_NO_LIFE: Final = CacheLife(0, 0)

INCARNATION_MAX: Final = 2**30
"""Incarnations above this are damage, and no other is drawn above them."""


@dataclass(slots=True)
class FoundInRecords:
    """What is wrong with some customers' records in one life of a shard's cache.

    `suspects` are replaced by a newer state. For those of `ending` the life has to end, and the
    next to be beyond an incarnation. `hopeless` ones can not be replaced; no check reads them.
    """

    life: CacheLife
    suspects: list[Suspect] = field(default_factory=list)
    ending: list[Difference] = field(default_factory=list)
    beyond: int = 0
    hopeless: list[Difference] = field(default_factory=list)


class RecordExaminer:
    """Tells what comparisons amount to."""

    def __init__(self, cache: Cache, catalogs: Catalogs) -> None:
        """Look up in `cache` what a comparison leaves open."""
        self._cache = cache
        self._catalogs = catalogs

    def examine(self, number: int, compared: Mapping[str, Compared]) -> FoundInRecords:
        """Tell what is wrong with compared records of a shard. Raises UnavailableError."""
        found = FoundInRecords(_NO_LIFE)
        unusable: list[StoredCustomer] = []
        for verdict, entry, stored in compared.values():
            if entry.meta is None or stored is None:
                continue
            found.life = max(found.life, entry.meta.life)
            if entry.has_key and entry.header is None:
                unusable.append(stored)
            elif verdict is Verdict.LOST:
                found.ending.append(self._difference(number, verdict, entry, stored))
            elif verdict not in HARMLESS:
                difference = self._difference(number, verdict, entry, stored)
                found.suspects.append(
                    Suspect(stored.subject, stored.version, _version(entry), difference)
                )
        if unusable:
            self._examine_unusable(number, unusable, found)
        return found

    def of_nobody(self, number: int, entry: CachedEntry) -> Difference:
        """Give the difference that a record of somebody unknown makes."""
        shown = self._decode(entry.record)
        could_allow = (
            shown is None
            or difference_of(
                DifferenceKind.RECORD_OF_NOBODY, number, 0, shown, NOBODY, wall_clock()
            ).could_allow
        )
        return Difference(DifferenceKind.RECORD_OF_NOBODY, number, could_allow=could_allow)

    def _difference(
        self, number: int, verdict: Verdict, entry: CachedEntry, stored: StoredCustomer
    ) -> Difference:
        # What is stored may name codes that were published just now.
        right = record.decode(stored.record, self._catalogs.refresh().numbers).timeline
        shown = NOBODY if verdict is Verdict.LOST else self._decode(entry.record)
        return difference_of(_KINDS[verdict], number, stored.subject, shown, right, wall_clock())

    def _examine_unusable(
        self, number: int, unusable: Sequence[StoredCustomer], found: FoundInRecords
    ) -> None:
        """Tell damaged bytes and records of the future from what earlier lives have left."""
        meta_text, records = self._cache.read_bytes(number, [one.customer_id for one in unusable])
        meta = decode_meta(meta_text)
        for stored, present in zip(unusable, records, strict=True):
            if meta is None or present is None:
                continue
            header = _header(present)
            if header is None:
                difference = Difference(DifferenceKind.RECORD_DAMAGED, number, stored.subject)
                found.suspects.append(
                    Suspect(stored.subject, stored.version, _UNREADABLE_VERSION, difference)
                )
            elif CacheLife(header.epoch, header.incarnation) > meta.life:
                difference = Difference(DifferenceKind.RECORD_OF_LATER_LIFE, number, stored.subject)
                if header.epoch > meta.life.epoch or header.incarnation > INCARNATION_MAX:
                    found.hopeless.append(difference)
                else:
                    found.ending.append(difference)
                    found.beyond = max(found.beyond, header.incarnation)

    def _decode(self, present: bytes | None) -> PermissionTimeline | None:
        """Give what a record says; None when it can not be read as a whole."""
        if present is None:
            return None
        try:
            return record.decode(present, self._catalogs.newest().numbers).timeline
        except (ValueError, LookupError):
            return None


class FoundInMeta(NamedTuple):
    """What is wrong with a shard's meta, if anything, and the life that PostgreSQL knows."""

    difference: Difference | None
    is_of_publications: bool
    life: CacheLife


def examine_meta(engine: Engine, cache: Cache, number: int) -> FoundInMeta:
    """Compare a shard's meta with PostgreSQL, which is read last: there Redis can not be ahead.

    A meta that is missing or lags is no difference; it is the projector's everyday business. Raises
    UnavailableError.
    """
    text, _ = cache.read_bytes(number, ())
    meta = decode_meta(text)
    with reading(engine) as connection:
        [source] = read_sources(connection, [number])
    life = source.life
    kind = None
    is_of_publications = False
    if meta is None:
        kind = DifferenceKind.META_DAMAGED if text is not None else None
    elif meta.life > life or (meta.life == life and meta.applied_seq > source.seq):
        kind = DifferenceKind.META_AHEAD
    elif meta.life == life and (
        meta.publication > source.publication or meta.newest_publication > source.newest_publication
    ):
        kind = DifferenceKind.META_AHEAD
        is_of_publications = True
    if kind is None:
        return FoundInMeta(None, is_of_publications, life)
    # What a meta says too much makes records count that are too old; a damaged one makes none.
    is_ahead = kind is DifferenceKind.META_AHEAD
    difference = Difference(kind, number, could_allow=is_ahead, could_deny=is_ahead)
    return FoundInMeta(difference, is_of_publications, life)


def _version(entry: CachedEntry) -> int:
    return entry.header.version if entry.header is not None else _UNREADABLE_VERSION


def _header(present: bytes) -> Header | None:
    try:
        return record.decode_header(present)
    except ValueError:
        return None
