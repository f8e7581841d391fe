"""The values of the model in `leasing`: its clauses, and what makes up a state.

What lives here: plain values. What may happen to them is in `leasing`.
"""

from enum import Enum
from typing import Final, NamedTuple

LEASE_TICKS: Final = 2
"""The length of a lease. One tick would leave no room between `fresh` and `over`."""


class Clause(Enum):
    """What the protocol demands, each to be switched off by itself."""

    LEASE_CHECKED = "a check needs a lease that is not over"
    GUARD_READ_AFTER_REQUEST = "the guard is read after the request was read"
    DEADLINE_FROM_BEFORE_SENDING = "a lease counts from before its renewal was sent"
    FLOORS_READ_AFTER_LEASE = "floors are read after the lease was committed"
    OLD_DEADLINE_UNTIL_READ = "until the floors are read the earlier deadline stands"
    TOLD_FLOORS_MERGED = "a renewal that was under way does not lose a told floor"
    ONLY_ADDRESSEE_ANSWERS = "only the process that is addressed answers for its lease"
    GUARD_DROPPED_BEFORE_ROW = "an orderly release drops the guard before the lease row"
    RELEASE_STOPS_RENEWAL = "a renewal under way does not bring back a released lease"
    LEASES_READ_AFTER_COMMIT = "the writer reads the leases after it has committed"
    EVERY_PROCESS_TOLD = "the writer waits for every process that is not surely over"
    WHOLE_LENGTH_WAITED = "a lease is over when it was in sight for a whole length"
    SIGHT_DATED_ON_RETURN = "first sight counts from when the read came back"
    ROW_REMOVED_ONLY_UNCHANGED = "a row is removed only while its counter is unchanged"
    COUNTER_NEVER_REPEATS = "a process never writes the same counter twice"
    REPEATED_EVENT_ANEW = "a repeated event is acknowledged anew"


class Spare(Enum):
    """What the protocol does although it is safe without; exploring confirms that."""

    READ_AGAIN_AFTER_WAITING = "the leases are read again when the whole length is over"


class Stage(Enum):
    """How far a renewal is."""

    SENT = 1
    COMMITTED = 2
    READ = 3


class Renewal(NamedTuple):
    """A renewal under way: how long ago it was sent, its counter, whether it read the floor."""

    stage: Stage
    age: int
    counter: int
    has_floor: bool


class Process(NamedTuple):
    """A decision process: its counter, its guard (what is left, floor), and its renewal."""

    counter: int = 0
    remaining: int = 0
    has_floor: bool = False
    renewal: Renewal | None = None
    is_leaving: bool = False


class Read(NamedTuple):
    """A writer's read of the leases: what was known when it was sent, and the rows it saw.

    `ripe` holds for each process the counter that had been in sight for a whole length by then.
    """

    is_after_commit: bool
    age: int
    ripe: tuple[int, ...]
    rows: tuple[int, ...] | None = None


class Sight(NamedTuple):
    """Which counter a writer saw last, and since when."""

    counter: int
    age: int


class Writer(NamedTuple):
    """A writer: what it has seen of the leases, and whose answer it waits for after its commit."""

    seen: tuple[Sight, ...]
    has_committed: bool = False
    read: Read | None = None
    awaited: frozenset[int] | None = None
    answered: frozenset[int] = frozenset()
    over: tuple[int, ...] = ()


class State(NamedTuple):
    """Everything. `rows` are the lease rows' counters, 0 for none."""

    rows: tuple[int, ...]
    processes: tuple[Process, ...]
    writers: tuple[Writer, ...]
    is_narrowed: bool = False
    is_effective: bool = False
    early_guard: Process | None = None
