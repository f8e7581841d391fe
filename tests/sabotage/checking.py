"""Clauses of the allow rule, switched off (`design.md`, "No stale ALLOW", steps 5 and 7)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tests.sabotage.patching import Patch, always, wrapped

_LONG_AGO: Final = 0


def _without_told_publication(raise_floors: Callable[..., Any]) -> Callable[..., Any]:
    return lambda keeper, narrowing: raise_floors(keeper, replace(narrowing, publication=0))


def _without_guarded_publication(catalog_for: Callable[..., Any]) -> Callable[..., Any]:
    return lambda reader, entries, token, guard: catalog_for(
        reader, entries, token, replace(guard, publication=0)
    )


def _without_publication_of_token(catalog_for: Callable[..., Any]) -> Callable[..., Any]:
    return lambda reader, entries, _, guard: catalog_for(reader, entries, None, guard)


def _whatever_was_told(now: Callable[..., int]) -> Callable[..., int]:
    return lambda guard: now(replace(guard, narrowed_at=_LONG_AGO))


def _by_the_own_clock(_: object) -> Callable[..., int]:
    def now(_: object) -> int:
        from store.clocks import wall_clock  # noqa: PLC0415 - only once it is applied

        return wall_clock()

    return now


def _just_the_instant(_: object) -> Callable[..., int]:
    def same(_: object, instant: int) -> int:
        return instant

    return same


def _as_if_of_this_life(entry: Callable[..., Any]) -> Callable[..., Any]:
    def found(number: int, meta: Any, record: bytes | None) -> Any:
        from store.record import stamp  # noqa: PLC0415 - only once it is applied

        if meta is None or record is None:
            return entry(number, meta, record)
        return entry(number, meta, stamp(record, *meta.life))

    return found


def _kept_from_earlier(current: Callable[..., Any]) -> Callable[..., Any]:
    def kept(keeper: Any) -> Any:
        guard = vars(keeper).get("kept")
        if guard is None or not guard.is_lease_valid():
            guard = vars(keeper)["kept"] = current(keeper)
        return guard

    return kept


def _record_then_meta(read_one: Callable[..., Any]) -> Callable[..., Any]:
    def read(cache: Any, customer_id: str) -> Any:
        entry = read_one(cache, customer_id)
        return entry._replace(meta=read_one(cache, customer_id).meta)

    return read


def _first_floor_stays(_: object) -> Callable[..., Any]:
    return lambda floor, _: floor


def _bases_alone(_: object) -> Callable[..., Any]:
    return lambda bases, _: bases


def _joining(enter: Callable[..., Any]) -> Callable[..., Any]:
    def joined(reads: Any, call: Any, ids: Sequence[str]) -> None:
        others = []
        for one in ids:
            ticket = next(
                (read.tickets[one] for read in reads._reads if one in read.tickets),  # noqa: SLF001
                None,
            )
            if ticket is None:
                others.append(one)
            else:
                ticket.calls.append(call)
                call.outstanding[one] = ticket
        enter(reads, call, others)

    return joined


CLAUSES: Final[Mapping[str, Sequence[Patch]]] = {
    "the lease is not looked at": always("store.guard:Guard.is_lease_valid", value=True),
    "the epoch is not compared": always("store.guard:Guard.is_of_epoch", value=True),
    "floors of shards are not heeded": always("store.guard:Guard.is_shard_reached", value=True),
    "floors of customers are not heeded": always(
        "store.guard:Guard.is_customer_reached", value=True
    ),
    "an earlier floor stands in the way of a later": wrapped(
        "store.floors:CustomerFloor.joined", _first_floor_stays
    ),
    "floors that are too many are dropped": wrapped("store.guard:_by_shard", _bases_alone),
    "publications are not heeded": (
        Patch("store.guard:GuardKeeper.raise_floors", _without_told_publication),
        *always("service.control.server:ControlServer._load_catalog", value=None),
    ),
    "the publication of the guard is not heeded": wrapped(
        "store.reader:PermissionReader._catalog_for", _without_guarded_publication
    ),
    "records of older catalogs are kept": always(
        "store.catalog_steps:CatalogSteps.keep", value=True
    ),
    "now may lie before a narrowing": wrapped("store.guard:Guard.now", _whatever_was_told),
    "now is what the own clock says": wrapped("store.guard:Guard.now", _by_the_own_clock),
    "now is not held by PostgreSQL's clock": wrapped(
        "store.guard:ClockReading.clamp", _just_the_instant
    ),
    "records of another life count": wrapped("store.cache:cached_entry", _as_if_of_this_life),
    "meta and record are read apart": wrapped("store.cache:Cache._read_one", _record_then_meta),
    "the guard is older than the request": wrapped(
        "store.guard:GuardKeeper.current", _kept_from_earlier
    ),
    "tokens are not heeded": always("store.token:Token.is_reached_by", value=True),
    "publications of tokens are not heeded": wrapped(
        "store.reader:PermissionReader._catalog_for", _without_publication_of_token
    ),
    "a read under way is joined": wrapped("store.shared_reads:SharedReads._enter", _joining),
}
