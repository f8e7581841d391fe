"""Grants and imposed restrictions: what a person's timeline amounts to, as values.

What lives here: the result of `fold`, with enough detail to explain every answer. How it is worked
out is in `fold`; what it means at an instant in `timeline` and `answer`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from decision.instants import Instant
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


class Basis(NamedTuple):
    """The grant that an ALLOW rests on; `ends_at` is when the asked scope of it ends."""

    event_id: str
    consent_type: str
    wording_version: int
    product: Product | None
    obtained_at: Instant
    ends_at: Instant
    matrix_row_id: str = ""


_NONE_APART: Final[Mapping[Scope, Ending]] = {}


class Grant(NamedTuple):
    """One consent of one customer, from one event, for the scopes of one wording version.

    `basis` is what the consent as a whole is as a basis, with when it ends as a whole; `ended_by`
    and `ended_by_event_id` say what ends it then. `scopes`, which are distinct, are the wording's
    own object: which grants cover alike can be seen by that, without looking at each scope.
    `ends_apart` has the endings of the scopes that a revocation ends sooner: nearly always none.
    """

    basis: Basis
    ended_by: Reason
    scopes: Sequence[Scope]
    is_until_closed: bool = False
    ended_by_event_id: str = ""
    ends_apart: Mapping[Scope, Ending] = _NONE_APART

    @property
    def term_end(self) -> Ending:
        """What ends the consent as a whole, before revocations that select single scopes."""
        return Ending(self.basis.ends_at, self.ended_by, self.ended_by_event_id)

    @property
    def endings(self) -> Mapping[Scope, Ending]:
        """What ends each scope; an ending at `obtained_at` leaves nothing of it."""
        return {**dict.fromkeys(self.scopes, self.term_end), **self.ends_apart}

    def with_term_end(self, ending: Ending) -> "Grant":
        """Give the same grant, ended as a whole by something else."""
        return self._replace(
            basis=self.basis._replace(ends_at=ending.at),
            ended_by=ending.cause,
            ended_by_event_id=ending.event_id,
        )

    @property
    def event_id(self) -> str:
        """The event that gave it."""
        return self.basis.event_id

    @property
    def consent_type(self) -> str:
        """The type of consent that was given."""
        return self.basis.consent_type

    @property
    def wording_version(self) -> int:
        """The version of the type's wording under which it was given."""
        return self.basis.wording_version

    @property
    def product(self) -> Product | None:
        """The product that was bought, or that the consent named."""
        return self.basis.product

    @property
    def obtained_at(self) -> Instant:
        """The instant from which on it holds."""
        return self.basis.obtained_at

    @property
    def matrix_row_id(self) -> str:
        """The matrix row that a purchase matched; empty for an explicit consent."""
        return self.basis.matrix_row_id


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
