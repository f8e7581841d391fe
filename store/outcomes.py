"""What becomes of an event that is to be recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from decision.errors import MayweError
from decision.events import NewEvent, TimelineEvent
from decision.instants import Instant
from store.floors import Narrowing
from store.publications import PublishedCatalog


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event that stands in the ledger, now or since an earlier time.

    `positions` gives the seq of each shard, in this `epoch`, at which the cache shows it. `events`
    is the timeline of the person it belongs to, as it stands with the event. `narrowing` is what it
    took away of that person's permissions, empty if nothing; of a repeated event all that it may
    have taken away, from whomever, since nobody may have been told the first time.
    """

    event: NewEvent
    recorded_at: Instant
    is_repeated: bool
    epoch: int
    is_epoch_settled: bool
    positions: Mapping[int, int]
    published: PublishedCatalog
    events: Sequence[TimelineEvent]
    narrowing: Narrowing


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that was refused, and why; nothing of it is recorded."""

    event: NewEvent
    error: MayweError


Outcome: TypeAlias = Recorded | Refused
