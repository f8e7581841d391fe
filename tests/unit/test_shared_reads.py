"""Shared reads: who may join which, how many there are, and how long anybody waits."""

import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from decision.errors import ErrorCode, OverloadedError, UnavailableError
from store import shared_reads
from store.shared_reads import SharedReads
from tests.unit.standing_reads import (
    HANG_SECONDS_MAX,
    Gate,
    patient_reads,
    result,
    wait_until_waiting,
)
from tests.waiting import until

AT_ONCE_SECONDS: Final = 0.01
"""A limit that is meant to pass."""

CALLERS_MAX: Final = 32


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is open at the end, so that no thread stays in it."""
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def callers(gate: Gate) -> Iterator[ThreadPoolExecutor]:
    """Threads to call from."""
    with ThreadPoolExecutor(CALLERS_MAX) as pool:
        yield pool
        gate.open()


def test_a_check_does_not_join_a_read_that_was_sent(
    gate: Gate, callers: ThreadPoolExecutor
) -> None:
    """A later check of the same customer gets the answer of the next read."""
    reads = patient_reads(gate.load)
    first = callers.submit(reads.read, ["a"])
    under_way = gate.arrived()
    second = callers.submit(reads.read, ["a"])
    wait_until_waiting(reads, 1)
    under_way.end()
    assert result(first) == {"a": 1}
    gate.arrived().end()
    assert result(second) == {"a": 2}


def test_whoever_comes_meanwhile_shares_the_next_read(
    gate: Gate, callers: ThreadPoolExecutor
) -> None:
    """What waits is combined into one read, each id in it once."""
    reads = patient_reads(gate.load, in_flight_max=1)
    first = callers.submit(reads.read, ["a"])
    under_way = gate.arrived()
    others = []
    for ids, waiting in ((["b"], 1), (["c", "a", "b"], 3), (["b", "d", "b"], 4)):
        others.append(callers.submit(reads.read, ids))
        wait_until_waiting(reads, waiting)
    gate.open()
    assert under_way.ids == ["a"]
    assert result(first) == {"a": 1}
    assert [result(other) for other in others] == [
        {"b": 2},
        {"a": 2, "b": 2, "c": 2},
        {"b": 2, "d": 2},
    ]
    assert gate.sent == [["a"], ["a", "b", "c", "d"]]
    counts = reads.counts()
    assert (counts.reads_sent, counts.ids_read, counts.calls_shed) == (2, 5, 0)


def test_the_same_customer_is_never_read_twice_at_once(
    gate: Gate, callers: ThreadPoolExecutor
) -> None:
    """A free place does not help whoever waits for a customer; others go ahead meanwhile."""
    reads = patient_reads(gate.load, in_flight_max=3)
    first = callers.submit(reads.read, ["a"])
    under_way = gate.arrived()
    both = callers.submit(reads.read, ["a", "b"])
    assert gate.arrived().ids == ["b"]
    assert reads.counts().ids_waiting == 1
    under_way.end()
    assert gate.arrived().ids == ["a"]
    gate.open()
    assert result(first) == {"a": 1}
    assert result(both) == {"a": 3, "b": 2}


def test_under_many_callers_every_rule_holds(callers: ThreadPoolExecutor) -> None:
    """No id is read twice at once, the places suffice, and no answer is older than its call."""
    lock = threading.Lock()
    ticks = 0
    ids_under_way: list[str] = []
    reads_under_way = 0
    violations: list[str] = []

    def tick() -> int:
        nonlocal ticks
        with lock:
            ticks += 1
            return ticks

    def load(ids: Collection[str]) -> int:
        nonlocal reads_under_way, ids_under_way
        began = tick()
        with lock:
            reads_under_way += 1
            if reads_under_way > 3:
                violations.append("too many reads")
            if set(ids_under_way) & set(ids):
                violations.append("a customer twice at once")
            ids_under_way += ids
        time.sleep(0)
        with lock:
            reads_under_way -= 1
            ids_under_way = [one for one in ids_under_way if one not in ids]
        return began

    reads = patient_reads(load, in_flight_max=3)

    def call(number: int) -> None:
        for step in range(100):
            ids = [f"customer-{(number * step + other) % 7}" for other in range(1 + step % 3)]
            called = tick()
            found = reads.read(ids)
            assert set(found) == set(ids)
            if min(found.values()) < called:
                violations.append("joined a read that was sent")

    for future in [callers.submit(call, number) for number in range(16)]:
        future.result(HANG_SECONDS_MAX)
    assert violations == []
    assert reads.counts().ids_waiting == 0


def test_many_ids_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No read asks for more ids than the limit."""
    monkeypatch.setattr(shared_reads, "IDS_PER_READ_MAX", 2)
    sent: list[list[str]] = []

    def load(ids: Collection[str]) -> int:
        sent.append(list(ids))
        return len(sent)

    assert patient_reads(load).read(["a", "b", "a", "c"]) == {"a": 1, "b": 1, "c": 2}
    assert sent == [["a", "b"], ["c"]]


def test_what_small_calls_brought_together_is_sent_in_pieces(
    gate: Gate, callers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By as many places as there are."""
    monkeypatch.setattr(shared_reads, "IDS_PER_READ_MAX", 2)
    reads = patient_reads(gate.load, in_flight_max=2)
    first, under_way = [], []
    for one in ("x", "y"):
        first.append(callers.submit(reads.read, [one]))
        under_way.append(gate.arrived())
    others = [callers.submit(reads.read, [f"id-{number}"]) for number in range(5)]
    wait_until_waiting(reads, 5)
    under_way[0].end()
    assert len(gate.arrived().ids) == 2
    under_way[1].end()
    assert len(gate.arrived().ids) == 2
    gate.open()
    assert sorted(number for other in others for number in result(other).values()) == [
        *(3, 3),
        *(4, 4),
        5,
    ]
    assert {number for one in first for number in result(one).values()} == {1, 2}


def test_a_large_call_is_not_shed_for_its_size(gate: Gate) -> None:
    """A chunk of an audience passes where nothing else waits, whatever the bound."""
    reads = patient_reads(gate.load, waiting_max=10)
    gate.open()
    ids = [f"customer-{number}" for number in range(10_000)]
    assert set(reads.read(ids)) == set(ids)
    assert max(len(sent) for sent in gate.sent) == shared_reads.IDS_PER_READ_MAX
    assert reads.counts().ids_read == len(ids)


def test_beyond_the_bound_calls_are_shed(gate: Gate, callers: ThreadPoolExecutor) -> None:
    """A call that would bring too many more is refused at once."""
    reads = patient_reads(gate.load, in_flight_max=1, waiting_max=2)
    sent = callers.submit(reads.read, ["a"])
    gate.arrived()
    first = callers.submit(reads.read, ["b"])
    wait_until_waiting(reads, 1)
    with pytest.raises(OverloadedError) as shed:
        reads.read(["c", "d"])
    assert shed.value.code is ErrorCode.OVERLOADED
    last = callers.submit(reads.read, ["c"])
    wait_until_waiting(reads, 2)
    with pytest.raises(OverloadedError):
        reads.read(["e"])
    gate.open()
    assert (result(sent), result(first), result(last)) == ({"a": 1}, {"b": 2}, {"c": 2})
    assert reads.counts().calls_shed == 2


def test_who_adds_nothing_to_what_waits_is_not_shed(
    gate: Gate, callers: ThreadPoolExecutor
) -> None:
    """Also behind a call that passed although it was beyond the bound by itself."""
    reads = patient_reads(gate.load, in_flight_max=1, waiting_max=2)
    sent = callers.submit(reads.read, ["a"])
    gate.arrived()
    large = callers.submit(reads.read, ["b", "c", "d"])
    wait_until_waiting(reads, 3)
    joined = callers.submit(reads.read, ["b", "c"])
    with pytest.raises(OverloadedError):
        reads.read(["e"])
    gate.open()
    assert (result(sent), result(large)) == ({"a": 1}, {"b": 2, "c": 2, "d": 2})
    assert set(result(joined)) == {"b", "c"}


def test_what_is_not_sent_in_time_is_shed_and_not_read(
    gate: Gate, callers: ThreadPoolExecutor
) -> None:
    """Waiting for a place ends, nothing of it stays, and all goes on afterwards."""
    reads = SharedReads(
        gate.load,
        in_flight_max=1,
        wait_seconds_max=AT_ONCE_SECONDS,
        read_seconds_max=HANG_SECONDS_MAX,
    )
    sent = callers.submit(reads.read, ["a"])
    under_way = gate.arrived()
    for ids in (["b"], ["a", "b"]):
        with pytest.raises(OverloadedError):
            reads.read(ids)
    counts = reads.counts()
    assert (counts.ids_waiting, counts.calls_shed) == (0, 2)
    under_way.end()
    assert result(sent) == {"a": 1}
    assert gate.sent == [["a"]]


def test_a_read_that_hangs_fails_its_calls_and_leaves_the_other_places(
    gate: Gate, callers: ThreadPoolExecutor
) -> None:
    """Its call fails by the limit, while reads of others go on."""
    reads = SharedReads(
        gate.load,
        in_flight_max=2,
        wait_seconds_max=HANG_SECONDS_MAX,
        read_seconds_max=0.2,
    )
    with pytest.raises(UnavailableError, match="took too long"):
        reads.read(["a"])
    hanging = gate.arrived()
    other = callers.submit(reads.read, ["b"])
    gate.arrived().end()
    assert result(other) == {"b": 2}
    assert (hanging.ids, reads.counts().calls_given_up) == (["a"], 1)


def test_behind_reads_that_hang_nobody_waits(gate: Gate) -> None:
    """Who needs their customer, or any place when all hang, is refused; until they come back."""
    reads = SharedReads(
        gate.load,
        in_flight_max=2,
        wait_seconds_max=HANG_SECONDS_MAX,
        read_seconds_max=AT_ONCE_SECONDS,
    )
    for ids in (["a"], ["b", "a"], ["b"], ["c"]):
        with pytest.raises(UnavailableError, match="took too long"):
            reads.read(ids)
    # A call may be given up before the thread that reads for it has begun.
    until(lambda: sorted(gate.sent) == [["a"], ["b"]])
    counts = reads.counts()
    assert (counts.calls_given_up, counts.ids_waiting) == (4, 0)
    gate.open()

    def answers() -> bool:
        try:
            return set(reads.read(["a", "c"])) == {"a", "c"}
        except UnavailableError:
            return False

    until(answers)


def test_everybody_who_shared_a_failed_read_is_told(
    gate: Gate, callers: ThreadPoolExecutor
) -> None:
    """Each gets an error of its own with the cause; who shared another read gets an answer."""
    reads = patient_reads(gate.load, in_flight_max=2)
    others, under_way = [], []
    for one in ("a", "b"):
        others.append(callers.submit(reads.read, [one]))
        under_way.append(gate.arrived())
    sharing = [callers.submit(reads.read, ["c"])]
    wait_until_waiting(reads, 1)
    sharing.append(callers.submit(reads.read, ["c", "d"]))
    wait_until_waiting(reads, 2)
    under_way[0].end()
    cause = UnavailableError("down")
    gate.arrived().end(cause)
    errors = []
    for failed in sharing:
        with pytest.raises(UnavailableError, match="down") as raised:
            result(failed)
        errors.append(raised.value)
        assert raised.value.__cause__ is cause
    assert len({id(error) for error in (cause, *errors)}) == 3
    under_way[1].end()
    assert sorted(number for other in others for number in result(other).values()) == [1, 2]
    gate.open()
    assert set(reads.read(["d"])) == {"d"}


def test_a_call_that_fails_takes_nothing_from_others(
    gate: Gate, callers: ThreadPoolExecutor
) -> None:
    """What others wait for too is still read, and what nobody waits for is not."""
    reads = patient_reads(gate.load, in_flight_max=2)
    first = callers.submit(reads.read, ["a", "c"])
    under_way = gate.arrived()
    failing = callers.submit(reads.read, ["a", "b", "c"])
    read_of_rest = gate.arrived()
    assert read_of_rest.ids == ["b"]
    shared = callers.submit(reads.read, ["a", "d"])
    wait_until_waiting(reads, 3)
    read_of_rest.end(UnavailableError("down"))
    with pytest.raises(UnavailableError, match="down"):
        result(failing)
    gate.arrived().end()
    wait_until_waiting(reads, 1)
    under_way.end()
    assert result(first) == {"a": 1, "c": 1}
    gate.open()
    assert result(shared) == {"a": 4, "d": 3}
    assert gate.sent == [["a", "c"], ["b"], ["d"], ["a"]]


@pytest.mark.parametrize(
    ("cause", "kind", "text"),
    [
        (OverloadedError("no connection is free"), OverloadedError, "no connection is free"),
        (UnavailableError("the disk is full"), UnavailableError, "the disk is full"),
        (ValueError("secret text"), UnavailableError, "PostgreSQL does not answer"),
        (SystemExit(3), UnavailableError, "PostgreSQL does not answer"),
    ],
)
def test_a_failure_keeps_its_kind(
    gate: Gate, callers: ThreadPoolExecutor, cause: BaseException, kind: type[Exception], text: str
) -> None:
    """What is no error of ours says nothing of itself, and takes no place with it."""
    reads = patient_reads(gate.load, in_flight_max=1)
    failed = callers.submit(reads.read, ["a"])
    gate.arrived().end(cause)
    with pytest.raises(kind, match=text) as raised:
        result(failed)
    assert raised.value.__cause__ is cause
    gate.open()
    assert reads.read(["a"]) == {"a": 2}


def test_threads_without_work_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come back with the next miss."""
    monkeypatch.setattr(shared_reads, "IDLE_SECONDS_MAX", 0.0)
    ran_in: list[threading.Thread] = []

    def load(_: Collection[str]) -> int:
        ran_in.append(threading.current_thread())
        return len(ran_in)

    reads = patient_reads(load)
    for number in (1, 2):
        assert reads.read(["a"]) == {"a": number}
        ran_in[-1].join(HANG_SECONDS_MAX)
        assert not ran_in[-1].is_alive()
    assert ran_in[0] is not ran_in[1]
