"""The values of the model in `restoring`: its clauses, and what makes up a state.

What lives here: plain values. What may happen to them is in `restoring`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

LEASE_TICKS: Final = 1
"""The length of a lease: a tick is a whole one here. Finer time is in the model of leases."""

FIRST_EPOCH: Final = 1
NARROWING: Final = "narrowing"
HARMLESS: Final = "harmless write"


class Clause(Enum):
    """What the protocol demands, each to be switched off by itself."""

    EPOCH_RAISED = "a restore raises the epoch before anything is read"
    EPOCH_NEVER_REPEATS = "a raised epoch is above every epoch there ever was"
    EPOCHS_EQUAL = "a check needs the epoch of the meta to be the guard's"
    EARLIER_FLOORS_KEPT = "a floor that was committed under an earlier epoch counts all the same"
    SETTLED_FIRST = "there is no EFFECTIVE before the epoch is settled"
    WHOLE_LENGTH_TO_SETTLE = "an epoch is settled when it was in sight for a whole length"
    COUNTER_NEVER_REPEATS = "a process never writes the same counter twice, restored row or not"
    OTHER_EPOCH_ABSENT = "a record of another epoch is absent"
    BATCH_OF_ITS_EPOCH = "a batch is refused under another epoch"


class Spare(Enum):
    """What the protocol does although it is safe without; exploring confirms that."""

    LATER_EPOCH_TOLD = "being told of a later epoch ends the guard, and older renewals under way"
    SETTLED_READ_WITH_LEASES = (
        "that the epoch is settled is read with the leases, not with the transaction that narrows"
    )


class Ledger(NamedTuple):
    """PostgreSQL. `writes` are the outbox rows; `counter` is the lease row, 0 for none."""

    epoch: int = FIRST_EPOCH
    settled_epoch: int = FIRST_EPOCH
    writes: tuple[str, ...] = ()
    counter: int = 0

    @property
    def is_narrowed(self) -> bool:
        """Whether the narrowing is recorded."""
        return NARROWING in self.writes


class Meta(NamedTuple):
    """A shard's meta; an epoch has one incarnation here."""

    epoch: int
    applied_seq: int


class Record(NamedTuple):
    """A cached record; versions are counted again after a restore, so it says what it permits."""

    epoch: int
    version: int
    is_allowed: bool


class Redis(NamedTuple):
    """What Redis holds."""

    meta: Meta = Meta(FIRST_EPOCH, 0)
    record: Record = Record(FIRST_EPOCH, 0, True)  # noqa: FBT003 - what it permits


@dataclass(frozen=True, slots=True)
class Project:
    """One row under way, with the record as it stood when the row was read."""

    epoch: int
    seq: int
    record: Record


@dataclass(frozen=True, slots=True)
class Begin:
    """The beginning of an epoch's incarnation under way."""

    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill under way, which names the epoch that it saw."""

    epoch: int
    record: Record


Message = Project | Begin | Fill

LATE_BATCH: Final = Project(FIRST_EPOCH, 1, Record(FIRST_EPOCH, 1, True))  # noqa: FBT003


class Floor(NamedTuple):
    """What the customer's record must show: the version, or the shard the seq."""

    seq: int
    version: int


class Guard(NamedTuple):
    """What the process holds. `least_epoch` is the latest that it was told of."""

    remaining: int = 0
    epoch: int = 0
    base: int = 0
    floor: Floor | None = None
    least_epoch: int = 0


class Renewal(NamedTuple):
    """A renewal under way: the meta seen before, and once it was read epoch, base and floor."""

    age: int
    seen: Meta
    is_committed: bool = False
    read: tuple[int, int, Floor | None] | None = None


class Writer(NamedTuple):
    """The writer: what it has seen of leases and epoch, and where its write stands.

    `begun_epoch` is what the open transaction read; `floor` is set once it is committed.
    """

    seen_counter: int = 0
    seen_age: int = 0
    seen_epoch: int = FIRST_EPOCH
    epoch_age: int = 0
    begun_epoch: int = 0
    floor: Floor | None = None
    was_settled: bool = False


class State(NamedTuple):
    """Everything."""

    ledger: Ledger = Ledger()
    backup: Ledger | None = None
    restores: int = 0
    raises: int = 0
    highest_epoch: int = FIRST_EPOCH
    redis: Redis = Redis()
    message: Message | None = None
    counter: int = 0
    guard: Guard = Guard()
    renewal: Renewal | None = None
    writer: Writer = Writer()
    is_effective: bool = False
