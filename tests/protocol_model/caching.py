"""The life of one cached record: projector, fills and incarnations, while Redis fails.

What lives here: the model that shows that a shard applied up to a narrowing shows the narrowing.
The check has the weakest guard that lease and acknowledgement allow: a floor for the narrowing and
no base. There is one shard with one customer in view, and any number of projectors and fills. Redis
may be emptied, and set back to an earlier state of its own. Messages to Redis are delayed, lost,
repeated and reordered: one that was sent may arrive any number of times, until it is dropped.

What bounds the model: a history of two outbox rows, how often Redis fails and saves a snapshot, how
many messages are under way at once and how many incarnations are drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from tests.protocol_model.explorer import Step


class Clause(Enum):
    """What the protocol demands, each to be switched off by itself."""

    FILL_NAMES_EARLIER_LIFE = "a fill names the life that was seen before its SQL read"
    ONLY_UPWARDS = "records go upwards by version only"
    CONTIGUOUS = "a batch must follow what was applied"
    NEW_INCARNATION_WHEN_LOST = "a lost meta means a new incarnation"
    OTHER_LIFE_ABSENT = "a record of another life is absent"
    PRUNED_MEANS_NEW_LIFE = "rows that are missing for the replay mean a new incarnation"


class Spare(Enum):
    """What the protocol does although it is safe without; exploring confirms that."""

    BEGUN_ONLY_LATER = "an incarnation is begun only where a lower one or none is"
    BATCH_OF_ITS_LIFE = "a batch is refused under another life of the same epoch"


class History(NamedTuple):
    """What is written: the first permission, then a row each: the permission, None for others."""

    name: str
    first: bool
    rows: tuple[bool | None, ...]

    def version(self, seq: int) -> int:
        """Give the version of the customer's record once `seq` rows are committed."""
        return sum(row is not None for row in self.rows[:seq])

    def is_allowed(self, version: int) -> bool:
        """Tell whether the record of a version permits."""
        return (self.first, *(row for row in self.rows if row is not None))[version]

    @property
    def narrowing_seq(self) -> int:
        """The row that narrows."""
        return self.rows.index(False) + 1


NARROWED_FIRST: Final = History("narrowed, then another customer", True, (False, None))  # noqa: FBT003
WIDENED_FIRST: Final = History("widened, then narrowed", False, (True, False))  # noqa: FBT003
HISTORIES: Final = (NARROWED_FIRST, WIDENED_FIRST)


class Meta(NamedTuple):
    """A shard's meta."""

    incarnation: int
    applied_seq: int


class Record(NamedTuple):
    """A cached record. What it permits follows from its version."""

    incarnation: int
    version: int


class Redis(NamedTuple):
    """What Redis holds."""

    meta: Meta | None = None
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A batch under way: its rows, and the record as it stood when they were read."""

    incarnation: int
    first_seq: int
    last_seq: int
    version: int | None


@dataclass(frozen=True, slots=True)
class Begin:
    """The beginning of an incarnation under way."""

    incarnation: int
    seq: int


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill under way."""

    incarnation: int
    version: int


# No tuples: a fill and a beginning with the same numbers would be equal.
Message = Project | Begin | Fill


class Look(NamedTuple):
    """What somebody saw of Redis before turning to PostgreSQL."""

    meta: Meta | None


class State(NamedTuple):
    """Everything. `seq`, `incarnation` and `pruned_seq` are PostgreSQL's."""

    redis: Redis
    saved: Redis
    seq: int = 0
    incarnation: int = 1
    pruned_seq: int = 0
    failures: int = 0
    messages: frozenset[Message] = frozenset()
    projecting: Look | None = None
    filling: Look | None = None
    saves: int = 0


class Caching:
    """The model, with some clauses switched off."""

    def __init__(
        self,
        *without: Clause | Spare,
        history: History = NARROWED_FIRST,
        failures_max: int = 2,
        messages_max: int = 2,
        incarnations_max: int = 3,
        saves_max: int = 1,
        is_pruned: bool = False,
    ) -> None:
        """Take the clauses to switch off, what is written, and the bounds."""
        self._off = frozenset(without)
        self._history = history
        self._failures_max = failures_max
        self._messages_max = messages_max
        self._incarnations_max = incarnations_max
        self._saves_max = saves_max
        self._is_pruned = is_pruned

    def initial(self) -> State:
        """The record is cached, and nothing is written yet."""
        begun = Redis(Meta(1, 0), Record(1, 0))
        return State(redis=begun, saved=begun)

    def steps(self, state: State) -> Iterator[Step[State]]:
        """Give everything that may happen in a state."""
        yield from self._ledger_steps(state)
        yield from self._redis_steps(state)
        yield from self._projector_steps(state)
        yield from self._fill_steps(state)
        yield from self._check_steps(state)

    def _is_on(self, clause: Clause | Spare) -> bool:
        return clause not in self._off

    def _ledger_steps(self, state: State) -> Iterator[Step[State]]:
        seq = state.seq + 1
        if seq <= len(self._history.rows):
            yield Step(f"row {seq} is committed", state._replace(seq=seq))
        meta = state.redis.meta
        if self._is_pruned and meta is not None and meta.applied_seq > state.pruned_seq:
            after = state._replace(pruned_seq=meta.applied_seq)
            yield Step(f"rows up to {meta.applied_seq}, applied, are pruned", after)

    def _redis_steps(self, state: State) -> Iterator[Step[State]]:
        if state.failures < self._failures_max:
            failures = state.failures + 1
            yield Step("Redis is emptied", state._replace(redis=Redis(), failures=failures))
            if state.saved != state.redis:
                after = state._replace(redis=state.saved, failures=failures)
                yield Step(f"Redis is set back to {_shown(state.saved)}", after)
            if state.saved != state.redis and state.saves < self._saves_max:
                after = state._replace(saved=state.redis, saves=state.saves + 1)
                yield Step("Redis saves a snapshot", after)
        for message in state.messages:
            rest = state.messages - {message}
            yield Step(f"{message} is lost", state._replace(messages=rest))
            redis = self._received(state.redis, message)
            if redis != state.redis:
                after = state._replace(redis=redis)
                yield Step(f"Redis accepts {message} and holds {_shown(redis)}", after)

    def _received(self, redis: Redis, message: Message) -> Redis:
        meta = redis.meta
        if isinstance(message, Begin):
            is_later = meta is None or message.incarnation > meta.incarnation
            if not is_later and self._is_on(Spare.BEGUN_ONLY_LATER):
                return redis
            return redis._replace(meta=Meta(message.incarnation, message.seq))
        is_of_life = meta is not None and meta.incarnation == message.incarnation
        if isinstance(message, Fill):
            return (
                self._with_record(redis, message.incarnation, message.version)
                if (is_of_life)
                else redis
            )
        follows = meta is not None and meta.applied_seq == message.first_seq - 1
        if meta is None or (not is_of_life and self._is_on(Spare.BATCH_OF_ITS_LIFE)):
            return redis
        if not follows and self._is_on(Clause.CONTIGUOUS):
            return redis
        if message.version is not None:
            redis = self._with_record(redis, message.incarnation, message.version)
        return redis._replace(meta=meta._replace(applied_seq=message.last_seq))

    def _with_record(self, redis: Redis, incarnation: int, version: int) -> Redis:
        offered = Record(incarnation, version)
        is_upwards = redis.record is None or offered > redis.record
        if is_upwards or not self._is_on(Clause.ONLY_UPWARDS):
            return redis._replace(record=offered)
        return redis

    def _projector_steps(self, state: State) -> Iterator[Step[State]]:
        look = state.projecting
        if look is None:
            after = state._replace(projecting=Look(state.redis.meta))
            yield Step(f"a projector reads {_shown(state.redis)}", after)
            return
        state = state._replace(projecting=None)
        yield Step("the projector gives up", state)
        meta = look.meta
        if meta is None and not self._is_on(Clause.NEW_INCARNATION_WHEN_LOST):
            yield from self._sent(state, "the projector", Begin(state.incarnation, state.seq))
        elif meta is None or meta.incarnation != state.incarnation:
            yield from self._draw(state)
        elif meta.applied_seq < state.pruned_seq:
            if self._is_on(Clause.PRUNED_MEANS_NEW_LIFE):
                yield from self._draw(state)
            else:
                yield from self._project(state, meta.applied_seq, state.pruned_seq)
        elif meta.applied_seq < state.seq:
            yield from self._project(state, meta.applied_seq, meta.applied_seq)

    def _project(self, state: State, applied_seq: int, read_from: int) -> Iterator[Step[State]]:
        """Send the rows there are, one or all: how many is the projector's affair."""
        for last_seq in range(applied_seq + 1, state.seq + 1):
            rows = self._history.rows[read_from:last_seq]
            names_customer = any(row is not None for row in rows)
            # The record as it stands now: it may be newer than its row, never older.
            version = self._history.version(state.seq) if names_customer else None
            batch = Project(state.incarnation, applied_seq + 1, last_seq, version)
            yield from self._sent(state, "the projector", batch)

    def _draw(self, state: State) -> Iterator[Step[State]]:
        drawn = state.incarnation + 1
        if drawn <= self._incarnations_max:
            after = state._replace(incarnation=drawn)
            yield from self._sent(after, "the projector", Begin(drawn, state.seq))

    def _sent(self, state: State, who: str, message: Message) -> Iterator[Step[State]]:
        messages = state.messages | {message}
        if len(messages) <= self._messages_max:
            yield Step(f"{who} sends {message}", state._replace(messages=messages))

    def _fill_steps(self, state: State) -> Iterator[Step[State]]:
        if state.filling is None:
            after = state._replace(filling=Look(state.redis.meta))
            yield Step(f"a check misses and sees {_shown(state.redis)}", after)
            return
        meta = state.filling.meta
        if not self._is_on(Clause.FILL_NAMES_EARLIER_LIFE):
            yield from self._late_fill(state)
            return
        state = state._replace(filling=None)
        yield Step("nothing is filled", state)
        if meta is not None:
            fill = Fill(meta.incarnation, self._history.version(state.seq))
            yield from self._sent(state, "after its SQL read the check", fill)

    def _late_fill(self, state: State) -> Iterator[Step[State]]:
        """The SQL read first, and the life only when it is over: `filling` keeps the version."""
        version = self._history.version(state.seq)
        look = state.filling
        if look is None or look.meta is None or look.meta.incarnation != 0:
            after = state._replace(filling=Look(Meta(0, version)))
            yield Step(f"the check reads version {version} in PostgreSQL", after)
            return
        meta = state.redis.meta
        done = state._replace(filling=None)
        if meta is not None:
            fill = Fill(meta.incarnation, look.meta.applied_seq)
            yield from self._sent(done, "naming what it sees only now the check", fill)

    def _check_steps(self, state: State) -> Iterator[Step[State]]:
        meta, record = state.redis
        if meta is None or record is None or not self._history.is_allowed(record.version):
            return
        if record.incarnation != meta.incarnation and self._is_on(Clause.OTHER_LIFE_ABSENT):
            return
        # The version of a record that allows is below the floor's, so the shard has to be there.
        if meta.applied_seq >= self._history.narrowing_seq:
            yield Step(
                f"a check with the floor sees {_shown(state.redis)} and answers ALLOW",
                state,
                is_stale_allow=True,
            )


def _shown(redis: Redis) -> str:
    return f"{redis.meta or 'no meta'}, {redis.record or 'no record'}"
