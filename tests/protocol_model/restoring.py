"""Epochs: PostgreSQL is restored to an earlier state, or its epoch is raised.

What lives here: the model in which the ledger loses a write, so that seq, state version, lease and
incarnation are used a second time with another meaning. One decision process, one writer, one
message to Redis under way at a time. The writer's reads and tells take no time; the model of leases
has them in detail. A write that a restore took away is not acknowledged for good: the client has to
send it again, as a restore loses what came after the backup.

What is restored raises the epoch in the same step: every new connection compares the identity of
the server before anything is read through it, and a restore breaks every old one.
"""

from collections.abc import Iterator

from tests.protocol_model.explorer import Step
from tests.protocol_model.restoring_state import (
    HARMLESS,
    LATE_BATCH,
    LEASE_TICKS,
    NARROWING,
    Begin,
    Clause,
    Fill,
    Floor,
    Guard,
    Ledger,
    Message,
    Meta,
    Project,
    Record,
    Redis,
    Renewal,
    Spare,
    State,
    Writer,
)


class Restoring:
    """The model, with some clauses switched off."""

    def __init__(
        self,
        *without: Clause | Spare,
        restores_max: int = 1,
        raises_max: int = 0,
        renewals_max: int = 2,
        harmless_max: int = 1,
        are_messages_delayed: bool = True,
        is_backup_empty: bool = False,
        is_late_batch_about: bool = False,
    ) -> None:
        """Take the clauses to switch off, and the bounds.

        With `is_backup_empty` the only backup is from before everything. Without
        `are_messages_delayed` what is sent to Redis arrives at once. With `is_late_batch_about`
        everything begins after a restore, and a batch that was sent before it may arrive any time.
        """
        self._off = frozenset(without)
        self._restores_max = restores_max
        self._raises_max = raises_max
        self._renewals_max = renewals_max
        self._harmless_max = harmless_max
        self._are_messages_delayed = are_messages_delayed
        self._is_backup_empty = is_backup_empty
        self._is_late_batch_about = is_late_batch_about

    def initial(self) -> State:
        """The record is cached, nothing is written, and the process has no lease."""
        if self._is_late_batch_about:
            epoch = LATE_BATCH.epoch + 1
            ledger = Ledger(epoch, epoch)
            return State(ledger, highest_epoch=epoch, writer=Writer(seen_epoch=epoch))
        return State(backup=Ledger() if self._is_backup_empty else None)

    def steps(self, state: State) -> Iterator[Step[State]]:
        """Give everything that may happen in a state."""
        yield Step("a tick passes", _tick(state))
        yield from self._ledger_steps(state)
        yield from self._redis_steps(state)
        yield from self._renewal_steps(state)
        yield from self._writer_steps(state)
        yield from self._check_steps(state)

    def _is_on(self, clause: Clause | Spare) -> bool:
        return clause not in self._off

    def _ledger_steps(self, state: State) -> Iterator[Step[State]]:
        ledger = state.ledger
        if state.backup is None and state.restores < self._restores_max:
            yield Step("a backup is taken", state._replace(backup=ledger))
        # A restore that takes an acknowledged write away ends the promise, and the exploration.
        is_kept = state.backup is not None and (state.backup.is_narrowed or not state.is_effective)
        if state.backup is not None and is_kept and state.restores < self._restores_max:
            restored = (
                self._raised(state._replace(ledger=state.backup))
                if (self._is_on(Clause.EPOCH_RAISED))
                else state._replace(ledger=state.backup)
            )
            yield self._restored(restored)
        if state.raises < self._raises_max:
            raised = self._raised(state)._replace(raises=state.raises + 1)
            yield Step(f"the epoch is raised to {raised.ledger.epoch}", raised)
        if ledger.writes.count(HARMLESS) < self._harmless_max and not ledger.is_narrowed:
            after = ledger._replace(writes=(*ledger.writes, HARMLESS))
            what = f"a write that leaves the permission is committed, seq {len(after.writes)}"
            yield Step(what, state._replace(ledger=after))

    def _raised(self, state: State) -> State:
        epoch = state.ledger.epoch + 1
        if self._is_on(Clause.EPOCH_NEVER_REPEATS):
            epoch = state.highest_epoch + 1
        ledger = state.ledger._replace(epoch=epoch)
        return state._replace(ledger=ledger, highest_epoch=max(state.highest_epoch, epoch))

    def _restored(self, state: State) -> Step[State]:
        writer = state.writer
        if not state.ledger.is_narrowed:
            writer = writer._replace(begun_epoch=0, floor=None, was_settled=False)
        restores = state.restores + 1
        # A backup that is not restored again would only multiply the states.
        backup = state.backup if restores < self._restores_max else None
        after = state._replace(restores=restores, backup=backup, writer=writer)
        ledger = after.ledger
        what = f"PostgreSQL is restored: epoch {ledger.epoch}, {len(ledger.writes)} rows"
        return Step(f"{what}, lease counter {ledger.counter}", after)

    # Redis: one projector, one message under way, delivered once or lost.

    def _redis_steps(self, state: State) -> Iterator[Step[State]]:
        ledger, redis = state.ledger, state.redis
        if state.message is not None:
            done = state._replace(message=None)
            yield Step(f"{state.message} is lost", done)
            received = self._received(redis, state.message)
            if received != redis:
                after = done._replace(redis=received)
                yield Step(f"Redis accepts {state.message}", after)
            return
        if self._is_late_batch_about:
            after = state._replace(redis=self._received(redis, LATE_BATCH))
            yield Step(f"{LATE_BATCH} arrives late", after)
        seq = len(ledger.writes)
        if redis.record.epoch != redis.meta.epoch:
            record = Record(redis.meta.epoch, seq, not ledger.is_narrowed)
            yield self._sent(state, "a check misses, reads PostgreSQL,", Fill(record.epoch, record))
        if redis.meta.epoch != ledger.epoch:
            yield self._sent(state, "the projector", Begin(ledger.epoch, seq))
        elif redis.meta.applied_seq < seq:
            record = Record(ledger.epoch, seq, not ledger.is_narrowed)
            row = Project(ledger.epoch, redis.meta.applied_seq + 1, record)
            yield self._sent(state, "the projector", row)

    def _sent(self, state: State, who: str, message: Message) -> Step[State]:
        if self._are_messages_delayed:
            return Step(f"{who} sends {message}", state._replace(message=message))
        received = self._received(state.redis, message)
        return Step(f"{who} sends {message}, received", state._replace(redis=received))

    def _received(self, redis: Redis, message: Message) -> Redis:
        meta = redis.meta
        if isinstance(message, Begin):
            if message.epoch <= meta.epoch:
                return redis
            return redis._replace(meta=Meta(message.epoch, message.seq))
        if isinstance(message, Fill):
            is_filled = message.epoch == meta.epoch and message.record[:2] > redis.record[:2]
            return redis._replace(record=message.record) if is_filled else redis
        is_refused = message.epoch != meta.epoch and self._is_on(Clause.BATCH_OF_ITS_EPOCH)
        if is_refused or message.seq != meta.applied_seq + 1:
            return redis
        is_upwards = message.record[:2] > redis.record[:2]
        record = message.record if is_upwards else redis.record
        return Redis(meta._replace(applied_seq=message.seq), record)

    # The decision process.

    def _renewal_steps(self, state: State) -> Iterator[Step[State]]:
        renewal = state.renewal
        if renewal is None:
            if state.counter < self._renewals_max:
                sent = Renewal(0, state.redis.meta)
                what = f"the process sees {sent.seen} and sends renewal {state.counter + 1}"
                yield Step(what, state._replace(renewal=sent, counter=state.counter + 1))
        elif not renewal.is_committed:
            counter = state.counter
            if not self._is_on(Clause.COUNTER_NEVER_REPEATS):
                counter = state.ledger.counter + 1
            after = state._replace(
                ledger=state.ledger._replace(counter=counter),
                renewal=renewal._replace(is_committed=True),
            )
            yield Step(f"its lease is committed, counter {counter}", after)
        elif renewal.read is None:
            read = _read_floors(state.ledger, renewal.seen)
            after = state._replace(renewal=renewal._replace(read=read))
            yield Step(f"it reads epoch {read[0]}, base {read[1]}, floor {read[2]}", after)
        else:
            guard = self._renewed(state.guard, renewal.age, renewal.read)
            yield Step(f"its renewal ends: {guard}", state._replace(guard=guard, renewal=None))

    def _renewed(self, guard: Guard, age: int, read: tuple[int, int, Floor | None]) -> Guard:
        epoch, base, floor = read
        if epoch < guard.least_epoch and self._is_on(Spare.LATER_EPOCH_TOLD):
            return guard
        told = guard.floor
        is_same_epoch = epoch == max(guard.epoch, guard.least_epoch)
        is_merged = is_same_epoch or self._is_on(Clause.EARLIER_FLOORS_KEPT)
        if told is not None and told.seq > base and is_merged:
            floor = told if floor is None else Floor(*map(max, told, floor))
        return Guard(LEASE_TICKS - age, epoch, base, floor, guard.least_epoch)

    def _told(self, guard: Guard, epoch: int, floor: Floor) -> Guard:
        is_kept = epoch >= guard.epoch or self._is_on(Clause.EARLIER_FLOORS_KEPT)
        if is_kept:
            merged = floor if guard.floor is None else Floor(*map(max, guard.floor, floor))
            guard = guard._replace(floor=merged)
        if epoch > guard.epoch and self._is_on(Spare.LATER_EPOCH_TOLD):
            guard = guard._replace(remaining=0)
        return guard._replace(least_epoch=max(epoch, guard.least_epoch))

    # The writer.

    def _writer_steps(self, state: State) -> Iterator[Step[State]]:
        ledger, writer = state.ledger, state.writer
        if state.is_effective:
            return
        if writer.floor is None and writer.begun_epoch == 0:
            begun = state._replace(writer=self._begun(writer, ledger))
            if self._raises_max:
                yield Step(f"the writer begins the narrowing in epoch {ledger.epoch}", begun)
            else:
                # Nothing can come between that would let the transaction live.
                yield self._commit(begun)
        elif writer.floor is None:
            yield self._commit(state)
        yield from self._lease_read_steps(state)
        if writer.floor is not None:
            guard = self._told(state.guard, writer.begun_epoch, writer.floor)
            yield from self._acknowledge_told(state, guard)

    def _begun(self, writer: Writer, ledger: Ledger) -> Writer:
        was_settled = ledger.settled_epoch == ledger.epoch
        if self._is_on(Spare.SETTLED_READ_WITH_LEASES):
            # Not asked for: kept the same, so that there are fewer states.
            was_settled = False
        return writer._replace(begun_epoch=ledger.epoch, was_settled=was_settled)

    def _commit(self, state: State) -> Step[State]:
        ledger = state.ledger
        writes = ledger.writes if ledger.is_narrowed else (*ledger.writes, NARROWING)
        floor = Floor(len(writes), len(writes))
        after = state._replace(
            ledger=ledger._replace(writes=writes), writer=state.writer._replace(floor=floor)
        )
        return Step(f"the writer commits the narrowing, {floor}", after)

    def _is_settled(self, state: State) -> bool:
        if not self._is_on(Clause.SETTLED_FIRST):
            return True
        if not self._is_on(Spare.SETTLED_READ_WITH_LEASES):
            return state.writer.was_settled
        return state.ledger.settled_epoch == state.ledger.epoch

    def _lease_read_steps(self, state: State) -> Iterator[Step[State]]:
        """One read of epoch, settled epoch and lease row; what follows from it is known at once."""
        ledger, writer = state.ledger, state.writer
        seen = writer
        if ledger.counter not in (0, writer.seen_counter):
            seen = seen._replace(seen_counter=ledger.counter, seen_age=0)
        if ledger.epoch != writer.seen_epoch:
            seen = seen._replace(seen_epoch=ledger.epoch, epoch_age=0)
        what = f"the writer reads epoch {ledger.epoch} and lease counter {ledger.counter}"
        if seen != writer:
            yield Step(what, state._replace(writer=seen))
        is_unsettled = ledger.settled_epoch != ledger.epoch
        is_ripe = seen.epoch_age >= LEASE_TICKS or not self._is_on(Clause.WHOLE_LENGTH_TO_SETTLE)
        if is_unsettled and is_ripe:
            settled = ledger._replace(settled_epoch=ledger.epoch)
            after = state._replace(writer=seen._replace(epoch_age=0), ledger=settled)
            yield Step(f"the writer settles epoch {ledger.epoch}", after)
        is_over = ledger.counter == 0 or seen.seen_age >= LEASE_TICKS
        if writer.floor is not None and is_over and self._is_settled(state):
            after = state._replace(writer=Writer(), is_effective=True)
            yield Step(f"{what}: no lease or over, it answers EFFECTIVE", after)

    def _acknowledge_told(self, state: State, guard: Guard) -> Iterator[Step[State]]:
        """Tell the process once the epoch is settled: it is the only one, so that is enough."""
        if self._is_settled(state):
            after = state._replace(guard=guard, writer=Writer(), is_effective=True)
            yield Step(f"told ({guard}), the writer answers EFFECTIVE", after)

    # Checks.

    def _check_steps(self, state: State) -> Iterator[Step[State]]:
        guard, redis = state.guard, state.redis
        if state.is_effective and guard.remaining and self._is_allowed(guard, redis):
            yield Step(
                f"a check that started after EFFECTIVE reads {guard} and {redis}: ALLOW",
                state,
                is_stale_allow=True,
            )

    def _is_allowed(self, guard: Guard, redis: Redis) -> bool:
        meta, record = redis
        if not record.is_allowed or meta.applied_seq < guard.base:
            return False
        if meta.epoch != guard.epoch and self._is_on(Clause.EPOCHS_EQUAL):
            return False
        if record.epoch != meta.epoch and self._is_on(Clause.OTHER_EPOCH_ABSENT):
            return False
        floor = guard.floor
        return floor is None or record.version >= floor.version or meta.applied_seq >= floor.seq


def _read_floors(ledger: Ledger, seen: Meta) -> tuple[int, int, Floor | None]:
    base = seen.applied_seq if seen.epoch == ledger.epoch else len(ledger.writes)
    seq = ledger.writes.index(NARROWING) + 1 if ledger.is_narrowed else 0
    return ledger.epoch, base, Floor(seq, seq) if seq > base else None


def _tick(state: State) -> State:
    guard, renewal, writer = state.guard, state.renewal, state.writer
    is_settled = writer.seen_epoch == state.ledger.settled_epoch
    return state._replace(
        guard=_aged(guard),
        renewal=renewal and renewal._replace(age=min(renewal.age + 1, LEASE_TICKS)),
        writer=writer._replace(
            seen_age=min(writer.seen_age + 1, LEASE_TICKS),
            # Once an epoch is settled nobody asks how long it was in sight.
            epoch_age=(0 if is_settled else min(writer.epoch_age + 1, LEASE_TICKS)),
        ),
    )


def _aged(guard: Guard) -> Guard:
    if guard.remaining > 1:
        return guard._replace(remaining=guard.remaining - 1)
    # Of a guard without a lease only what it was told still matters.
    return Guard(floor=guard.floor, least_epoch=guard.least_epoch)
