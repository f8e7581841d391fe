"""Shared reads: who may join which, and how many there are."""

import threading
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from decision.errors import OverloadedError, UnavailableError
from store import shared_reads
from store.shared_reads import SharedReads

WAIT_SECONDS_MAX = 30.0


class Gate:
    """A load that stands still until it is let through, and remembers what it was asked."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.is_entered = threading.Semaphore(0)
        self.may_pass = threading.Semaphore(0)
        self.error: Exception | None = None

    def load(self, ids: Collection[str]) -> int:
        """Give the number of the read, counted from 1."""
        self.sent.append(sorted(ids))
        number = len(self.sent)
        self.is_entered.release()
        assert self.may_pass.acquire(timeout=WAIT_SECONDS_MAX)
        if self.error is not None:
            raise self.error
        return number


def wait_until_joined(reads: SharedReads[int], count: int) -> None:
    """Wait until the read that is not sent yet has so many ids."""
    joined = threading.Event()
    for _ in range(int(WAIT_SECONDS_MAX / 0.001)):
        shared = reads._open  # noqa: SLF001 - only there it can be seen who has joined
        if shared is not None and len(shared.ids) == count:
            return
        joined.wait(0.001)
    pytest.fail("nobody joined")


def test_a_check_does_not_join_a_read_that_was_sent() -> None:
    """Later checks of the same customer share the next read, not the one under way."""
    gate = Gate()
    reads = SharedReads(gate.load, in_flight_max=1)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(reads.read, ["a"])
        assert gate.is_entered.acquire(timeout=WAIT_SECONDS_MAX)
        second = pool.submit(reads.read, ["a"])
        wait_until_joined(reads, 1)
        third = pool.submit(reads.read, ["a", "b"])
        wait_until_joined(reads, 2)
        gate.may_pass.release(2)
        assert first.result() == {"a": 1}
        assert second.result() == {"a": 2}
        assert third.result() == {"a": 2, "b": 2}
    assert gate.sent == [["a"], ["a", "b"]]


def test_many_ids_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No read asks for more ids than the limit."""
    monkeypatch.setattr(shared_reads, "IDS_PER_READ_MAX", 2)
    sent: list[list[str]] = []

    def load(ids: Collection[str]) -> int:
        sent.append(list(ids))
        return len(sent)

    assert SharedReads(load).read(["a", "b", "c"]) == {"a": 1, "b": 1, "c": 2}
    assert sent == [["a", "b"], ["c"]]


def test_beyond_the_limit_checks_are_shed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that would have to wait behind too many others is refused at once."""
    monkeypatch.setattr(shared_reads, "IDS_PER_READ_MAX", 1)
    gate = Gate()
    reads = SharedReads(gate.load, in_flight_max=1, waiting_max=1)
    with ThreadPoolExecutor(2) as pool:
        sent = pool.submit(reads.read, ["a"])
        assert gate.is_entered.acquire(timeout=WAIT_SECONDS_MAX)
        waiting = pool.submit(reads.read, ["b"])
        wait_until_joined(reads, 1)
        with pytest.raises(OverloadedError):
            reads.read(["c"])
        gate.may_pass.release(2)
        assert (sent.result(), waiting.result()) == ({"a": 1}, {"b": 2})


def test_a_read_that_is_not_sent_in_time_is_shed() -> None:
    """Waiting for a place ends, and the places are all there afterwards."""
    gate = Gate()
    reads = SharedReads(gate.load, in_flight_max=1, wait_seconds_max=0.01)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(reads.read, ["a"])
        assert gate.is_entered.acquire(timeout=WAIT_SECONDS_MAX)
        with pytest.raises(OverloadedError):
            reads.read(["b"])
        gate.may_pass.release(2)
        assert sent.result() == {"a": 1}
    assert reads.read(["c"]) == {"c": 2}


def test_everybody_who_joined_is_told_of_a_failure() -> None:
    """A read that fails fails for all who wait for it, and the next one is free to succeed."""
    gate = Gate()
    reads = SharedReads(gate.load, in_flight_max=1)
    with ThreadPoolExecutor(3) as pool:
        sent = pool.submit(reads.read, ["a"])
        assert gate.is_entered.acquire(timeout=WAIT_SECONDS_MAX)
        joined: list[Future[Mapping[str, int]]] = [pool.submit(reads.read, ["b"])]
        wait_until_joined(reads, 1)
        joined.append(pool.submit(reads.read, ["c"]))
        wait_until_joined(reads, 2)
        gate.error = UnavailableError("down")
        gate.may_pass.release(2)
        for failed in (sent, *joined):
            with pytest.raises(UnavailableError):
                failed.result()
    gate.error = None
    gate.may_pass.release()
    assert reads.read(["d"]) == {"d": 3}
