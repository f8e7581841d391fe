"""Permission changes as the outbox stores them: short arrays, since there are very many."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from decision.answer import Answer
from decision.changes import Direction, PermissionChange
from decision.reasons import Reason
from store.code_numbers import CodeNumbers

EncodedChange: TypeAlias = list[Any]

_DIRECTION_LETTERS: Final = {
    Direction.NARROWED: "n",
    Direction.WIDENED: "w",
    Direction.CHANGED: "c",
}
_DIRECTIONS: Final = {letter: direction for direction, letter in _DIRECTION_LETTERS.items()}


def encode_changes(
    changes: Iterable[PermissionChange], numbers: CodeNumbers
) -> list[EncodedChange]:
    """Write changes; the bases of the answers are left to `Explain`."""
    return [
        [
            numbers.scope_number(change.scope),
            _DIRECTION_LETTERS[change.direction],
            change.at,
            change.before.reason.value,
            change.before.not_after,
            change.after.reason.value,
            change.after.not_after,
        ]
        for change in changes
    ]


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
