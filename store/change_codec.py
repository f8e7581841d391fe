"""Permission changes as the outbox stores them: short arrays, since there are very many."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from decision.answer import Answer
from decision.changes import Direction, PermissionChange
from decision.instants import Instant
from decision.reasons import Reason
from store.code_numbers import CodeNumbers

EncodedChange: TypeAlias = list[Any]
"""Scope number, direction, instant, then reason and end of the answers before and after."""

NO_CHANGES: Final = "[]"

_DIRECTION_LETTERS: Final = {
    Direction.NARROWED: "n",
    Direction.WIDENED: "w",
    Direction.CHANGED: "c",
}
_DIRECTIONS: Final = {letter: direction for direction, letter in _DIRECTION_LETTERS.items()}


def encode_changes(changes: Iterable[PermissionChange], numbers: CodeNumbers) -> str:
    """Write changes as canonical JSON; the bases of the answers are left to `Explain`.

    Most scopes change as others do, with the same answers, which are written once for all of them.
    """
    # Kept, so that no answer gets the identity of another.
    kept = list(changes)
    ends: dict[tuple[int, int, Instant, Direction], str] = {}
    written = []
    for change in kept:
        scope, direction, at, before, after = change
        key = (id(before), id(after), at, direction)
        end = ends.get(key)
        if end is None:
            end = ends[key] = _end_of(change)
        written.append(f"[{numbers.scope_number(scope)}{end}")
    return f"[{','.join(written)}]"


def _end_of(change: PermissionChange) -> str:
    """Write a change but for the scope."""
    _, direction, at, (reason_before, end_before, _), (reason_after, end_after, _) = change
    letter = _DIRECTION_LETTERS[direction]
    return f',"{letter}",{at:d},{reason_before:d},{end_before:d},{reason_after:d},{end_after:d}]'


def decode_changes(
    encoded: Iterable[EncodedChange], numbers: CodeNumbers
) -> list[PermissionChange]:
    """Read changes. Raises KeyError when they name a code that a newer catalog brought."""
    return [
        PermissionChange(
            numbers.scope(scope_number),
            _DIRECTIONS[letter],
            at,
            Answer(Reason(reason_before), not_after_before),
            Answer(Reason(reason_after), not_after_after),
        )
        for (
            scope_number,
            letter,
            at,
            reason_before,
            not_after_before,
            reason_after,
            not_after_after,
        ) in encoded
    ]
