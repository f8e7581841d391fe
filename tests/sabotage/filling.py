"""Clauses of filling and projecting, switched off (`design.md`, "No stale ALLOW", 2 and 8)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final

from tests.sabotage.patching import Patch, Wrap, always, wrapped

ROWS_TOO_MANY: Final = 5
"""By so many rows a life begins ahead of the ledger."""

_UPWARDS_ONLY: Final = "if present == nil or is_newer(order_of(record), present) then"
_OF_THE_LIFE: Final = "not is_life_of(meta, ARGV[1], ARGV[2]) or"
_BEFORE_FORGETTING: Final = "tonumber(ARGV[5]) < tonumber(seq)"
_CONTIGUOUS: Final = " or meta.applied_seq ~= tonumber(ARGV[3]) - 1 then"


def _into_any_life(fill: Callable[..., Any]) -> Callable[..., Any]:
    def fill_now(cache: Any, number: int, life: Any, *others: Any, **named: Any) -> Any:
        meta = cache.read_metas([number])[number]
        return fill(cache, number, life if meta is None else meta.life, *others, **named)

    return fill_now


def _with_text(name: str, old: str, new: str) -> Wrap:
    """Replace a part of the script `name`."""

    def wrap(script: Callable[..., Any]) -> Callable[..., Any]:
        def changed(called: str) -> Any:
            found = script(called)
            if called != name:
                return found
            if old not in found.text:
                message = f"the script {called} does not say {old!r} any more"
                raise AttributeError(message)
            return type(found)(found.text.replace(old, new))

        return changed

    return wrap


def _of_the_same_life(_: object) -> Callable[..., Any]:
    def begun(_: object, seen: Any, **__: object) -> Any:
        from store.meta import Meta  # noqa: PLC0415 - only once it is applied

        return {
            source.number: Meta(
                source.life,
                source.seq,
                source.publication,
                is_complete=False,
                newest_publication=source.newest_publication,
            )
            for source, _ in seen
        }

    return begun


def _too_far_on(draw_incarnations: Callable[..., Any]) -> Callable[..., Any]:
    def drawn(*arguments: Any, **named: Any) -> Any:
        return {
            number: replace(meta, applied_seq=meta.applied_seq + ROWS_TOO_MANY)
            for number, meta in draw_incarnations(*arguments, **named).items()
        }

    return drawn


def _naming_somebody(read_records_due: Callable[..., Any]) -> Callable[..., Any]:
    def read(*arguments: Any) -> Any:
        return {
            number: [
                SimpleNamespace(
                    seq=row.seq, customer_id=row.customer_id or "erased", record=row.record
                )
                for row in rows
            ]
            for number, rows in read_records_due(*arguments).items()
        }

    return read


def _rolled_out_at_once(next_batch: Callable[..., Any]) -> Callable[..., Any]:
    def batch(projector: Any, source: Any, *others: Any) -> Any:
        found = next_batch(projector, source, *others)
        return found and replace(found, publication=source.publication)

    return batch


CLAUSES: Final[Mapping[str, Sequence[Patch]]] = {
    "fills of another life are accepted": wrapped("store.cache:Cache.fill", _into_any_life),
    "records go downwards too": wrapped(
        "store.cache:_script", _with_text("fill", _UPWARDS_ONLY, "if true then")
    ),
    "fills from before an erasure are accepted": wrapped(
        "store.cache:_script", _with_text("fill", _BEFORE_FORGETTING, "false")
    ),
    "rows of who is erased are passed over": wrapped(
        "store.projector:read_records_due", _naming_somebody
    ),
    "rows before a batch may be missing": wrapped(
        "store.cache:_script", _with_text("project", _CONTIGUOUS, " then")
    ),
    "batches of another life are accepted": wrapped(
        "store.cache:_script", _with_text("project", _OF_THE_LIFE, "not meta or")
    ),
    "a lost meta begins the same life again": wrapped(
        "store.projector:draw_incarnations", _of_the_same_life
    ),
    "a life begins ahead of the ledger": wrapped("store.projector:draw_incarnations", _too_far_on),
    "a shard counts as rolled out before its rows": wrapped(
        "store.projector:Projector._next_batch", _rolled_out_at_once
    ),
    "a projector takes a ledger that is behind": always("store.projector:_is_ahead", value=False),
    "publications of a lost epoch are kept": always(
        "store.publications:Catalogs.enter_epoch", value=None
    ),
}
