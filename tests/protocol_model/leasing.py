"""Lease, told floors and acknowledgement, while Redis stays behind for good.

What lives here: the model in which the projector never runs, so that a decision process answers
ALLOW whenever its guard lets it. PostgreSQL holds one narrowing and a lease row for each process.
Time is relative: what is left of a lease, and how long ago something was seen, up to one length of
a lease, as nothing asks for more. So histories of any length are covered; what bounds the model is
how many processes and writers there are and how often each process renews.

What is reduced, and why nothing is lost by it: a crash is a process or writer that takes no further
step, a restart is another process. A lost message is one that never arrives. A told process answers
in the same step, because the earlier the writer knows the more it dares. A check reads its guard
and answers in one step, because Redis never changes here.
"""

from collections.abc import Iterator

from tests.protocol_model.explorer import Step
from tests.protocol_model.leasing_state import (
    LEASE_TICKS,
    Clause,
    Process,
    Read,
    Renewal,
    Sight,
    Spare,
    Stage,
    State,
    Writer,
)


class Leasing:
    """The model, with some clauses switched off."""

    def __init__(
        self,
        *without: Clause | Spare,
        processes: int = 1,
        writers: int = 1,
        renewals_max: int = 2,
        are_reads_atomic: bool = False,
    ) -> None:
        """Take the clauses to switch off, and the bounds.

        With `are_reads_atomic` a writer's read of the leases takes no time: several writers or
        processes are too many states otherwise.
        """
        self._off = frozenset(without)
        self._processes = processes
        self._writers = writers
        self._renewals_max = renewals_max
        self._are_reads_atomic = are_reads_atomic

    def initial(self) -> State:
        """Nobody has a lease, and the narrowing is not written."""
        nothing_seen = (Sight(0, 0),) * self._processes
        return State(
            rows=(0,) * self._processes,
            processes=(Process(),) * self._processes,
            writers=(Writer(nothing_seen, over=(0,) * self._processes),) * self._writers,
        )

    def steps(self, state: State) -> Iterator[Step[State]]:
        """Give everything that may happen in a state."""
        yield Step("a tick passes", self._tick(state))
        for place in range(self._processes):
            yield from self._process_steps(state, place)
            yield from self._check_steps(state, place)
        for place in range(self._writers):
            yield from self._writer_steps(state, place)

    def _is_on(self, clause: Clause) -> bool:
        return clause not in self._off

    def _tick(self, state: State) -> State:
        early = state.early_guard
        return state._replace(
            processes=tuple(_aged_process(process) for process in state.processes),
            writers=tuple(
                writer._replace(
                    seen=tuple(Sight(sight.counter, _older(sight.age)) for sight in writer.seen),
                    read=writer.read and writer.read._replace(age=_older(writer.read.age)),
                )
                for writer in state.writers
            ),
            early_guard=early and _aged_process(early),
        )

    # Decision processes.

    def _process_steps(self, state: State, place: int) -> Iterator[Step[State]]:
        process = state.processes[place]
        name = f"process {place + 1}"
        renewal = process.renewal
        if renewal is None:
            if process.counter < self._renewals_max and not process.is_leaving:
                yield from self._send_renewal(state, place, name)
        elif renewal.stage is Stage.SENT:
            yield self._commit_lease(state, place, renewal, name)
        elif renewal.stage is Stage.COMMITTED and self._is_on(Clause.FLOORS_READ_AFTER_LEASE):
            read = renewal._replace(stage=Stage.READ, has_floor=state.is_narrowed)
            yield Step(
                f"{name} reads {_floors(read.has_floor)} in a new snapshot",
                _with_process(state, place, process._replace(renewal=read)),
            )
        else:
            yield self._replace_guard(state, place, renewal, name)
        yield from self._release_steps(state, place, name)

    def _send_renewal(self, state: State, place: int, name: str) -> Iterator[Step[State]]:
        process = state.processes[place]
        counter = process.counter + 1
        # Without its clause the floors are read by the same snapshot, before the lease is there.
        is_early = not self._is_on(Clause.FLOORS_READ_AFTER_LEASE) and state.is_narrowed
        sent = process._replace(counter=counter, renewal=Renewal(Stage.SENT, 0, counter, is_early))
        yield Step(f"{name} sends renewal {counter}", _with_process(state, place, sent))

    def _commit_lease(self, state: State, place: int, renewal: Renewal, name: str) -> Step[State]:
        process = state.processes[place]
        counter = renewal.counter
        if not self._is_on(Clause.COUNTER_NEVER_REPEATS):
            # Counted by the row itself: one that was removed begins again.
            counter = state.rows[place] + 1
        committed = process._replace(renewal=renewal._replace(stage=Stage.COMMITTED))
        if not self._is_on(Clause.OLD_DEADLINE_UNTIL_READ):
            committed = committed._replace(remaining=LEASE_TICKS - renewal.age)
        rows = _replaced(state.rows, place, counter)
        return Step(
            f"the lease of {name} is committed, counter {counter}",
            _with_process(state._replace(rows=rows), place, committed),
        )

    def _replace_guard(self, state: State, place: int, renewal: Renewal, name: str) -> Step[State]:
        process = state.processes[place]
        from_when = renewal.age if self._is_on(Clause.DEADLINE_FROM_BEFORE_SENDING) else 0
        has_floor = renewal.has_floor
        if self._is_on(Clause.TOLD_FLOORS_MERGED):
            has_floor = has_floor or process.has_floor
        remaining = LEASE_TICKS - from_when
        renewed = process._replace(remaining=remaining, has_floor=has_floor, renewal=None)
        return Step(
            f"{name} replaces its guard: {remaining} ticks left, {_floors(has_floor)}",
            _with_process(state, place, renewed),
        )

    def _release_steps(self, state: State, place: int, name: str) -> Iterator[Step[State]]:
        process = state.processes[place]
        stopped = (
            process
            if not self._is_on(Clause.RELEASE_STOPS_RENEWAL)
            else (process._replace(renewal=None))
        )
        if not process.is_leaving:
            leaving = stopped._replace(is_leaving=True)
            if self._is_on(Clause.GUARD_DROPPED_BEFORE_ROW):
                leaving = leaving._replace(remaining=0)
            yield Step(f"{name} begins to leave", _with_process(state, place, leaving))
        elif state.rows[place]:
            rows = _replaced(state.rows, place, 0)
            yield Step(f"{name} deletes its lease row", state._replace(rows=rows))

    # Checks. Only those that start after EFFECTIVE matter.

    def _check_steps(self, state: State, place: int) -> Iterator[Step[State]]:
        process = state.processes[place]
        if not self._is_on(Clause.GUARD_READ_AFTER_REQUEST):
            if state.early_guard is None:
                after = state._replace(early_guard=process)
                yield Step(f"process {place + 1} reads its guard before any request", after)
                return
            process = state.early_guard
        has_lease = process.remaining > 0 or not self._is_on(Clause.LEASE_CHECKED)
        if state.is_effective and has_lease and not process.has_floor:
            yield Step(
                f"process {place + 1} answers ALLOW to a check that started after EFFECTIVE",
                state,
                is_stale_allow=True,
            )

    # Writers.

    def _writer_steps(self, state: State, place: int) -> Iterator[Step[State]]:
        writer = state.writers[place]
        name = f"writer {place + 1}"
        if not writer.has_committed:
            yield self._commit_narrowing(state, place, name)
        yield from self._read_steps(state, place, name)
        for addressed in writer.awaited or ():
            yield from self._tell_steps(state, place, addressed, name)
            if Spare.READ_AGAIN_AFTER_WAITING in self._off:
                yield from self._give_up_steps(state, place, addressed, name)
        for number, counter in enumerate(writer.over):
            if counter:
                yield self._remove_row(state, place, number, name)
        if writer.awaited == frozenset() and not state.is_effective and writer.has_committed:
            yield Step(f"{name} answers EFFECTIVE", state._replace(is_effective=True))

    def _commit_narrowing(self, state: State, place: int, name: str) -> Step[State]:
        writer = state.writers[place]._replace(has_committed=True)
        if not state.is_narrowed:
            after = _with_writer(state._replace(is_narrowed=True), place, writer)
            return Step(f"{name} commits the narrowing", after)
        if not self._is_on(Clause.REPEATED_EVENT_ANEW):
            writer = writer._replace(awaited=frozenset())
        return Step(f"{name} finds the repeated event recorded", _with_writer(state, place, writer))

    def _read_steps(self, state: State, place: int, name: str) -> Iterator[Step[State]]:
        writer = state.writers[place]
        read = writer.read
        if read is None:
            ripe = tuple(sight.counter if sight.age >= LEASE_TICKS else 0 for sight in writer.seen)
            sent = Read(writer.has_committed, 0, ripe)
            if self._are_reads_atomic:
                judged = self._judge(writer, sent, state.rows)
                after = _with_writer(state, place, judged)
                yield Step(f"{name} reads and judges the leases {state.rows}", after)
                return
            after = _with_writer(state, place, writer._replace(read=sent))
            yield Step(f"{name} sends a read of the leases", after)
        elif read.rows is None:
            taken = writer._replace(read=read._replace(rows=state.rows))
            after = _with_writer(state, place, taken)
            yield Step(f"PostgreSQL reads counters {state.rows} for {name}", after)
        else:
            after = _with_writer(state, place, self._judge(writer, read, read.rows))
            yield Step(f"{name} judges the leases {read.rows}", after)

    def _judge(self, writer: Writer, read: Read, rows: tuple[int, ...]) -> Writer:
        age = 0 if self._is_on(Clause.SIGHT_DATED_ON_RETURN) else read.age
        seen = tuple(
            # A row that is gone leaves the sight as it was.
            sight if counter in (0, sight.counter) else Sight(counter, age)
            for sight, counter in zip(writer.seen, rows, strict=True)
        )
        ripe = read.ripe
        if not self._is_on(Clause.WHOLE_LENGTH_WAITED):
            # Once seen is taken for over at the next read.
            ripe = tuple(sight.counter for sight in writer.seen)
        over = tuple(
            counter if counter and counter == ripe_counter else 0
            for counter, ripe_counter in zip(rows, ripe, strict=True)
        )
        awaited = writer.awaited
        if read.is_after_commit or not self._is_on(Clause.LEASES_READ_AFTER_COMMIT):
            awaited = frozenset(
                number
                for number, counter in enumerate(rows)
                if counter and not over[number] and number not in writer.answered
            )
            if not self._is_on(Clause.EVERY_PROCESS_TOLD):
                awaited = frozenset()
        return writer._replace(seen=seen, read=None, awaited=awaited, over=over)

    def _tell_steps(
        self, state: State, place: int, addressed: int, name: str
    ) -> Iterator[Step[State]]:
        writer = state.writers[place]
        if not writer.has_committed:
            return
        anybody = range(self._processes)
        reached = (addressed,) if self._is_on(Clause.ONLY_ADDRESSEE_ANSWERS) else anybody
        told_writer = writer._replace(
            answered=writer.answered | {addressed},
            awaited=(writer.awaited or frozenset()) - {addressed},
        )
        for number in reached:
            told = state.processes[number]._replace(has_floor=True)
            after = _with_writer(_with_process(state, number, told), place, told_writer)
            for_whom = f" for process {addressed + 1}" if number != addressed else ""
            yield Step(f"{name} tells process {number + 1}, which answers{for_whom}", after)

    def _give_up_steps(
        self, state: State, place: int, number: int, name: str
    ) -> Iterator[Step[State]]:
        """Take a lease for over by the clock alone, though it may have been renewed since."""
        writer = state.writers[place]
        if writer.awaited is not None and writer.seen[number].age >= LEASE_TICKS:
            waiting = writer._replace(awaited=writer.awaited - {number})
            after = _with_writer(state, place, waiting)
            yield Step(f"{name} waits no longer for process {number + 1}", after)

    def _remove_row(self, state: State, place: int, number: int, name: str) -> Step[State]:
        writer = state.writers[place]
        counter = writer.over[number]
        rows = state.rows
        if rows[number] == counter or not self._is_on(Clause.ROW_REMOVED_ONLY_UNCHANGED):
            rows = _replaced(rows, number, 0)
        done = writer._replace(over=_replaced(writer.over, number, 0))
        after = _with_writer(state._replace(rows=rows), place, done)
        return Step(f"{name} removes the row of process {number + 1}, over at {counter}", after)


def _older(age: int) -> int:
    return min(age + 1, LEASE_TICKS)


def _aged_process(process: Process) -> Process:
    renewal = process.renewal
    return process._replace(
        remaining=max(process.remaining - 1, 0),
        renewal=renewal and renewal._replace(age=_older(renewal.age)),
    )


def _floors(has_floor: bool) -> str:  # noqa: FBT001 - one fact, put into words
    return "with the floor" if has_floor else "without a floor"


def _replaced(values: tuple[int, ...], place: int, value: int) -> tuple[int, ...]:
    return (*values[:place], value, *values[place + 1 :])


def _with_process(state: State, place: int, process: Process) -> State:
    processes = state.processes
    return state._replace(processes=(*processes[:place], process, *processes[place + 1 :]))


def _with_writer(state: State, place: int, writer: Writer) -> State:
    writers = state.writers
    return state._replace(writers=(*writers[:place], writer, *writers[place + 1 :]))
