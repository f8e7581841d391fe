"""Grants and imposed restrictions: what a person's timeline amounts to, as values.

What lives here: the result of `fold`, with enough detail to explain every answer. How it is worked
out is in `fold`; what it means at an instant in `timeline` and `answer`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from decision.instants import FOREVER, Instant
from decision.products import Product
from decision.reasons import STRENGTH_BY_CAUSE, Reason
from decision.scopes import Scope
from decision.selectors import Selector


class Ending(NamedTuple):
    """When something ends, by what, and by which event if one did it."""

    at: Instant
    cause: Reason
    event_id: str = ""

    @property
    def order(self) -> tuple[Instant, int]:
        """Later first by instant, then by strength; the smallest order ends a grant."""
        return (self.at, -STRENGTH_BY_CAUSE[self.cause])


NEVER = Ending(FOREVER, Reason.CONSENT_EXPIRED)
"""The ending of a grant that nothing ends."""


class AlikeEndings(Mapping[Scope, Ending]):
    """The same ending for every scope of a wording, as nearly every grant has it.

    Grants of one wording share `scopes`, the wording's own: whom they cover alike can be seen by
    that, without looking at each scope.
    """

    __slots__ = ("ending", "scopes")

    def __init__(self, scopes: Sequence[Scope], ending: Ending) -> None:
        """End each of `scopes`, which are distinct, by `ending`."""
        self.scopes = scopes
        self.ending = ending

    def __getitem__(self, scope: Scope) -> Ending:
        if scope not in self.scopes:
            raise KeyError(scope)
        return self.ending

    def __iter__(self) -> Iterator[Scope]:
        return iter(self.scopes)

    def __len__(self) -> int:
        return len(self.scopes)


class Grant(NamedTuple):
    """One consent of one customer, from one event, for the scopes of one wording version.

    `endings` gives for each scope what ends it; an ending at `obtained_at` leaves nothing.
    `term_end` is when the consent as a whole ends, before revocations that select single scopes.
    """

    event_id: str
    consent_type: str
    wording_version: int
    product: Product | None
    obtained_at: Instant
    term_end: Ending
    endings: Mapping[Scope, Ending]
    matrix_row_id: str = ""


class ImposedRestriction(NamedTuple):
    """What is denied during `[start, end)`, from which event, and why it ends there."""

    event_id: str
    kind: str
    selector: Selector
    start: Instant
    end: Instant
    lifted_by_event_id: str = ""


class UnmatchedCause(Enum):
    """Why an event that should have given consents gave none, or not all."""

    NO_MATRIX_ROW = "NO_MATRIX_ROW"
    NO_WORDING_IN_FORCE = "NO_WORDING_IN_FORCE"


class Unmatched(NamedTuple):
    """An event that waits for a publication, with the types that lack a wording, and their row."""

    event_id: str
    cause: UnmatchedCause
    consent_types: tuple[str, ...] = ()
    matrix_row_id: str = ""


@dataclass(frozen=True, slots=True)
class FoldedTimeline:
    """What a person's events amount to under one catalog."""

    is_known: bool
    grants: Sequence[Grant]
    restrictions: Sequence[ImposedRestriction]
    unmatched: Sequence[Unmatched]
