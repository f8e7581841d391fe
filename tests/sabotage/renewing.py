"""Clauses of renewal, switched off (`design.md`, "No stale ALLOW", steps 3, 4 and 8)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tests.sabotage.patching import Patch, always, wrapped

_LONG_AGO: Final = 0
_NANOSECONDS_PER_SECOND: Final = 1_000_000_000

LEASE_EXTRA_NANOSECONDS: Final = 10_000_000_000
"""By so much a lease is held too long."""


def _committing_last() -> Sequence[Patch]:
    commits: list[Callable[..., Any]] = []

    def not_yet(commit_lease: Callable[..., Any]) -> Callable[..., Any]:
        commits.append(commit_lease)
        return lambda *_: None

    def and_then_commit(read_renewal: Callable[..., Any]) -> Callable[..., Any]:
        def read(holder: Any, *arguments: Any) -> Any:
            from store.database import run_transaction  # noqa: PLC0415 - only once it is applied

            renewal = read_renewal(holder, *arguments)
            run_transaction(holder._engine, lambda connection: commits[-1](holder, connection))  # noqa: SLF001
            return renewal

        return read

    return (
        Patch("store.leases:LeaseHolder._commit_lease", not_yet),
        Patch("store.leases:LeaseHolder._read_renewal", and_then_commit),
    )


def _deadline_from_now(holder: Any) -> int:
    from store import leases  # noqa: PLC0415 - only once it is applied

    length: int = int(holder._length_seconds * _NANOSECONDS_PER_SECOND)  # noqa: SLF001
    now: int = vars(leases)["boot_nanoseconds"]()
    return now + length


def _counting_from_the_commit(read_renewal: Callable[..., Any]) -> Callable[..., Any]:
    return lambda holder, connection, standing, _, began_after: read_renewal(
        holder, connection, standing, _deadline_from_now(holder), began_after
    )


def _taking_at_once(commit_lease: Callable[..., Any]) -> Callable[..., Any]:
    def commit_and_take(holder: Any, connection: Any) -> None:
        commit_lease(holder, connection)
        keeper = holder._keeper  # noqa: SLF001
        keeper._guard = replace(  # noqa: SLF001
            keeper.current(), deadline_nanoseconds=_deadline_from_now(holder)
        )

    return commit_and_take


def _held_too_long(renewed: Callable[..., Any]) -> Callable[..., Any]:
    def renewed_for_longer(keeper: Any, renewal: Any) -> None:
        deadline = renewal.deadline_nanoseconds + LEASE_EXTRA_NANOSECONDS
        renewed(keeper, replace(renewal, deadline_nanoseconds=deadline))

    return renewed_for_longer


def _forgetting_what_was_told(renewed: Callable[..., Any]) -> Callable[..., Any]:
    return lambda keeper, renewal: renewed(
        keeper, replace(renewal, began_after=keeper.begin_reading())
    )


def _of_no_epoch(raise_floors: Callable[..., Any]) -> Callable[..., Any]:
    return lambda keeper, narrowing: raise_floors(keeper, replace(narrowing, epoch=0))


def _asking_nothing_of_the_unseen(read_renewal: Callable[..., Any]) -> Callable[..., Any]:
    def read(holder: Any, *arguments: Any) -> Any:
        renewal = read_renewal(holder, *arguments)
        seen = holder._seen._seqs  # noqa: SLF001
        bases = (0 if one is None else base for one, base in zip(seen, renewal.bases, strict=True))
        return replace(renewal, bases=tuple(bases))

    return read


def _seeing_only_the_last(note: Callable[..., Any]) -> Callable[..., Any]:
    def noted(seen: Any, *arguments: Any) -> None:
        seen._seqs = [None] * len(seen._seqs)  # noqa: SLF001
        note(seen, *arguments)

    return noted


def _as_many_as_are_kept(read_floors: Callable[..., Any]) -> Callable[..., Any]:
    def read(*arguments: Any) -> Any:
        from store import leases  # noqa: PLC0415 - only once it is applied

        bases, floors = read_floors(*arguments)
        return bases, floors[: vars(leases)["CUSTOMER_FLOORS_MAX"]]

    return read


def _none(_: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, bases: (bases, [])


def _as_seen(_: Callable[..., Any]) -> Callable[..., Any]:
    return lambda bases, _: bases


def _of_the_named(read_floors: Callable[..., Any]) -> Callable[..., Any]:
    return lambda connection, bases: (bases, read_floors(connection, bases)[1])


CLAUSES: Final[Mapping[str, Sequence[Patch]]] = {
    "floors are read before the lease is committed": _committing_last(),
    "a lease counts before its floors are read": wrapped(
        "store.leases:LeaseHolder._commit_lease", _taking_at_once
    ),
    "a lease counts from its commit": wrapped(
        "store.leases:LeaseHolder._read_renewal", _counting_from_the_commit
    ),
    "a lease is held too long": wrapped("store.guard:GuardKeeper.renewed", _held_too_long),
    "what is told during a renewal is forgotten": wrapped(
        "store.guard:GuardKeeper.renewed", _forgetting_what_was_told
    ),
    "word of a later epoch does not end the lease": wrapped(
        "store.guard:GuardKeeper.raise_floors", _of_no_epoch
    ),
    "a shard that was never seen may be anywhere": wrapped(
        "store.leases:LeaseHolder._read_renewal", _asking_nothing_of_the_unseen
    ),
    "the base follows Redis back": wrapped("store.leases:_Seen.note", _seeing_only_the_last),
    "floors are not read at a renewal": wrapped("store.leases:_read_floors", _none),
    "what is pruned raises no base": wrapped("store.leases:_where_kept", _as_seen),
    "who is erased raises no base": wrapped("store.leases:_read_floors", _of_the_named),
    "not all floors are read at a renewal": wrapped(
        "store.leases:_read_floors", _as_many_as_are_kept
    ),
    "a renewal does not tell what counts as now": always("store.leases:read_now", value=_LONG_AGO),
    "a holder takes a ledger that is behind": always("store.leases:_Seen.is_ahead_of", value=False),
    "a lease is given up in PostgreSQL only": always("store.guard:GuardKeeper.give_up", value=None),
}
