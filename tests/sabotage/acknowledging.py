"""Clauses of acknowledgement, switched off (`design.md`, "No stale ALLOW", steps 6 and 8)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tests.sabotage.patching import Patch, always, wrapped


def _the_one_before(read: Callable[..., Any]) -> Callable[..., Any]:
    def read_earlier(watch: Any) -> Any:
        found = read(watch)
        given = vars(watch).get("kept", found)
        vars(watch)["kept"] = found
        return given

    return read_earlier


def _without_the_first(init: Callable[..., Any]) -> Callable[..., Any]:
    return lambda audience, found, *others: init(
        audience, replace(found, leases=found.leases[1:]), *others
    )


def _whatever_was_heard(heard_of: Callable[..., Any]) -> Callable[..., Any]:
    def heard(audience: Any, process_id: str) -> Callable[[bool], None]:
        tell: Callable[[bool], None] = heard_of(audience, process_id)
        return lambda _: tell(True)  # noqa: FBT003 - what the callback takes

    return heard


def _all_over(found: Any) -> Any:
    leases = [replace(one, over_at_nanoseconds=found.sent_at_nanoseconds) for one in found.leases]
    return replace(found, leases=leases)


def _over_when_seen(load: Callable[..., Any]) -> Callable[..., Any]:
    return lambda watch, ids: _all_over(load(watch, ids))


def _settled_at_once(load: Callable[..., Any]) -> Callable[..., Any]:
    return lambda watch, ids: replace(load(watch, ids), is_settled=True)


def _since_the_process_was_seen(_: object) -> Callable[..., int]:
    return lambda seen, _, received_at: received_at if seen is None else seen[1]


def _its_length_alone(_: object) -> Callable[..., int]:
    def same(length_nanoseconds: int) -> int:
        return length_nanoseconds

    return same


def _over_or_not(remove_over: Callable[..., Any]) -> Callable[..., Any]:
    return lambda watch, found: remove_over(watch, _all_over(found))


def _whatever_renewal(_: object) -> Callable[..., Any]:
    def remove(watch: Any, found: Any) -> None:
        from sqlalchemy import delete  # noqa: PLC0415 - only once it is applied

        from store.schema import lease  # noqa: PLC0415 - only once it is applied

        over = [
            one.process_id
            for one in found.leases
            if one.over_at_nanoseconds <= found.sent_at_nanoseconds
        ]
        with watch._engine.begin() as connection:  # noqa: SLF001
            connection.execute(delete(lease).where(lease.c.process_id.in_(over)))

    return remove


def _taking_nothing_away(recorded: Any) -> Any:
    return replace(recorded, narrowing=replace(recorded.narrowing, customers=(), publication=0))


def _silently(recording: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **named: _taking_nothing_away(recording(*arguments, **named))


def _of_its_customer_id_only(repeated: Callable[..., Any]) -> Callable[..., Any]:
    def repeated_for_one(event: Any, *others: Any) -> Any:
        recorded = repeated(event, *others)
        customers = [
            floor
            for floor in recorded.narrowing.customers
            if floor.customer_id == event.customer_id
        ]
        return replace(recorded, narrowing=replace(recorded.narrowing, customers=customers))

    return repeated_for_one


def _for_anybody(raise_floors: Callable[..., Any]) -> Callable[..., Any]:
    def raised(server: Any, data: bytes, context: Any) -> Any:
        from service.control import messages  # noqa: PLC0415 - only once it is applied

        request = messages.decode_request(data)
        own = replace(request, process_id=server._process_id)  # noqa: SLF001
        return raise_floors(server, messages.encode_request(own), context)

    return raised


def _of_any_epoch(make_effective: Callable[..., Any]) -> Callable[..., Any]:
    def make(effectuator: Any, narrowing: Any, *others: Any, **named: Any) -> Any:
        epoch = effectuator._watch.read().epoch  # noqa: SLF001
        return make_effective(effectuator, replace(narrowing, epoch=epoch), *others, **named)

    return make


def _by_the_own_clock(recording_of: Callable[..., Any]) -> Callable[..., Any]:
    def read(*arguments: Any) -> Any:
        from store import clocks  # noqa: PLC0415 - only once it is applied

        return replace(recording_of(*arguments), now=clocks.wall_clock())

    return read


def _as_it_was_recorded(_: object) -> Callable[..., int]:
    def recorded(recorded_at: int, _: object) -> int:
        return recorded_at

    return recorded


CLAUSES: Final[Mapping[str, Sequence[Patch]]] = {
    "nobody is told": always("service.effectuation:Effectuator.make_effective", value=True),
    "leases are read before the commit": wrapped(
        "store.lease_watch:LeaseWatch.read", _the_one_before
    ),
    "one process is left out": wrapped(
        "service.effectuation:_Audience.__init__", _without_the_first
    ),
    "who does not answer counts as told": wrapped(
        "service.effectuation:_Audience._heard_of", _whatever_was_heard
    ),
    "another process may answer": wrapped(
        "service.control.server:ControlServer._raise_floors", _for_anybody
    ),
    "a process answers and does not heed": always(
        "store.guard:GuardKeeper.raise_floors", value=None
    ),
    "leases are taken to be over at once": wrapped(
        "store.lease_watch:LeaseWatch._load", _over_when_seen
    ),
    "a renewal counts from when its process was seen": wrapped(
        "store.lease_watch:_since", _since_the_process_was_seen
    ),
    "a lease is over without a margin": wrapped(
        "store.lease_watch:_with_margin", _its_length_alone
    ),
    "leases that are not over are removed": wrapped(
        "store.lease_watch:LeaseWatch.remove_over", _over_or_not
    ),
    "a lease is removed whatever its renewal": wrapped(
        "store.lease_watch:LeaseWatch.remove_over", _whatever_renewal
    ),
    "a repeat is not told anew": wrapped("store.repeats:_repeated", _silently),
    "a repeat is told of one customer id only": wrapped(
        "store.repeats:_repeated", _of_its_customer_id_only
    ),
    "an epoch is taken for settled": wrapped(
        "store.lease_watch:LeaseWatch._load", _settled_at_once
    ),
    "a later look at leases may be of another epoch": always(
        "service.effectuation:_Audience.is_of_epoch", value=True
    ),
    "a write of an earlier epoch may be effective": wrapped(
        "service.effectuation:Effectuator.make_effective", _of_any_epoch
    ),
    "losses are judged by the writer's clock": (
        Patch("store.writing:recording_of", _by_the_own_clock),
        Patch("store.recording:recording_of", _by_the_own_clock),
    ),
    "what is lost in a moment is told as the future": (
        Patch("store.writing:narrowed_at", _as_it_was_recorded),
        Patch("store.narrowing:narrowed_at", _as_it_was_recorded),
    ),
    "who takes nothing away tells nobody": always("store.narrowing:_may_take_away", value=False),
    "who changes identity takes nothing away": wrapped("store.identity:record", _silently),
    "publications take nothing away": wrapped("store.publishing:_recorded", _silently),
}
