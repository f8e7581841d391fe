"""What a verification finds, and how far it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from store.verifying.heads import HeadsDigest


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing in one chain, or in what follows from the chains, that is not as recorded.

    `shard` and `position` are None where it is of no shard's chain; `event_id` names an event, or a
    publication by its id, and is empty where what is wrong is that there is none. Nothing here
    names a customer.
    """

    problem: str
    shard: int | None = None
    position: int | None = None
    event_id: str = ""
    publication: int | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found: nothing, or faults, the one to look at first being the first.

    `digest` stands for the heads of all chains, to be noted down; None where there are faults.
    """

    events: int
    publications: int
    faults: Sequence[Fault]
    digest: HeadsDigest | None


class VerifyingProgress(NamedTuple):
    """How many events are verified, of how many there are to be."""

    events_done: int
    events_total: int
