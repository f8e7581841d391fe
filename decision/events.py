"""Events: what happened to a customer's consents, as recorded in the ledger.

What lives here: the event's envelope and a body per kind (`semantics.md`, "From events to
grants"). Their form is checked in `event_rules`, their meaning worked out in `fold`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from decision.instants import FOREVER, Instant
from decision.products import Product
from decision.selectors import Selector


class EventKind(Enum):
    """The kinds of event, as stored and as shown."""

    PURCHASE = "purchase"
    PRODUCT_CLOSING = "product_closing"
    CONSENT = "consent"
    REVOCATION = "revocation"
    RESTRICTION = "restriction"
    LIFTING = "lifting"
    ACQUISITION = "acquisition"
    VOID = "void"
    MERGE = "merge"
    SPLIT = "split"
    ERASURE = "erasure"


@dataclass(frozen=True, slots=True)
class Purchase:
    """The customer bought a product at `purchased_at`."""

    purchased_at: Instant
    product: Product


@dataclass(frozen=True, slots=True)
class ProductClosing:
    """A product of the customer was closed at `closed_at`."""

    closed_at: Instant
    product: Product


@dataclass(frozen=True, slots=True)
class Consent:
    """The customer gave an explicit value for a consent type at `obtained_at`.

    A value that refuses makes it a refusal, one that notes leaves it without effect.
    """

    obtained_at: Instant
    consent_type: str
    value: str
    wording_version: int | None = None
    expires_at: Instant | None = None
    product: Product | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """The customer revoked what the selector selects at `revoked_at`."""

    revoked_at: Instant
    selector: Selector


@dataclass(frozen=True, slots=True)
class Restriction:
    """What the selector selects is denied during `[effective_from, effective_until)`."""

    effective_from: Instant
    effective_until: Instant
    kind: str
    selector: Selector


@dataclass(frozen=True, slots=True)
class Lifting:
    """The restrictions of the event named are lifted at `lifted_at`."""

    lifted_at: Instant
    restriction_event_id: str


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The customer came through a partner at `acquired_at`."""

    acquired_at: Instant
    partner: str


@dataclass(frozen=True, slots=True)
class Void:
    """From when this is recorded, the event named counts as if it had never been."""

    voided_event_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class Merge:
    """From when this is recorded, both customers are one person."""

    from_customer_id: str
    into_customer_id: str


@dataclass(frozen=True, slots=True)
class Split:
    """From when this is recorded, the customer's own merge is undone."""

    customer_id: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """From when this is recorded, nothing is known of the customer's person any more."""

    with_merged: bool = False
    """Whether it was asked for all ids of the person, where there are several."""


PersonalBody: TypeAlias = (
    Purchase | ProductClosing | Consent | Revocation | Restriction | Lifting | Acquisition
)
"""Bodies that belong to one customer's timeline."""

Body: TypeAlias = PersonalBody | Void | Merge | Split | Erasure


KIND_BY_BODY: dict[type[Body], EventKind] = {
    Purchase: EventKind.PURCHASE,
    ProductClosing: EventKind.PRODUCT_CLOSING,
    Consent: EventKind.CONSENT,
    Revocation: EventKind.REVOCATION,
    Restriction: EventKind.RESTRICTION,
    Lifting: EventKind.LIFTING,
    Acquisition: EventKind.ACQUISITION,
    Void: EventKind.VOID,
    Merge: EventKind.MERGE,
    Split: EventKind.SPLIT,
    Erasure: EventKind.ERASURE,
}


def effective_at(body: Body) -> Instant | None:
    """Tell when an event happened in the world; None for those that have no valid time."""
    match body:
        case Purchase(purchased_at=at) | ProductClosing(closed_at=at) | Consent(obtained_at=at):
            return at
        case Revocation(revoked_at=at) | Lifting(lifted_at=at) | Acquisition(acquired_at=at):
            return at
        case Restriction(effective_from=at):
            return at
        case _:
            return None


class Source(NamedTuple):
    """The process that brought an event. Absent parts are empty strings."""

    process: str = ""
    channel: str = ""
    document: str = ""
    recorded_by: str = ""


class NewEvent(NamedTuple):
    """An event as a caller sends it. Voids, merges and splits name their customers in the body.

    `caller` is who sent it, if known; whoever sends the same event again may be somebody else.
    """

    event_id: str
    customer_id: str
    body: Body
    source: Source = Source()
    caller: str = ""

    def is_same_as(self, other: "NewEvent") -> bool:
        """Tell whether the content is the same, whoever sent it."""
        return self[:4] == other[:4]


class TimelineEvent(NamedTuple):
    """An event of one person's timeline, not voided as far as is known."""

    event_id: str
    customer_id: str
    body: PersonalBody
    source: Source = Source()
    recorded_at: Instant = FOREVER
