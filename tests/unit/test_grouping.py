"""Single writes that come at the same time: who waits for whom, and what becomes of each."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import pytest

from decision.errors import AlreadyExistsError, ErrorCode, UnavailableError
from decision.events import Body, NewEvent, Purchase, Revocation, Source
from decision.products import Product
from decision.selectors import EVERYTHING
from store.floors import Narrowing
from store.grouping import EVENTS_PER_GROUP_MAX, GROUPS_AT_ONCE, GroupRecorder
from store.outcomes import Outcome, Recorded, Refused
from store.publications import NOTHING_PUBLISHED

SECONDS_MAX: Final = 30.0
"""A bound against hanging; not a performance claim."""

NEVER: Final = 1_000.0
"""So many seconds no test takes."""


class Ledger:
    """Notes which events are recorded together, and lets nobody go on before it is told to."""

    def __init__(self) -> None:
        """Begin without events, and hold up whoever comes."""
        self.groups: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.may_go_on = threading.Semaphore(0)
        self.outcome_of: Callable[[NewEvent], Outcome] = recorded

    def record(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """Record events once `may_go_on` lets one group pass."""
        self.groups.append([event.event_id for event in events])
        self.begun.release()
        assert self.may_go_on.acquire(timeout=SECONDS_MAX)
        return [self.outcome_of(event) for event in events]

    def wait_until_begun(self, groups: int) -> None:
        """Wait until so many more groups have begun."""
        for _ in range(groups):
            assert self.begun.acquire(timeout=SECONDS_MAX)

    def let_go_on(self, groups: int = 1000) -> None:
        """Let so many groups pass."""
        self.may_go_on.release(groups)


def event(event_id: str, body: Body | None = None, customer_id: str = "") -> NewEvent:
    """An event, a purchase by a customer of its own where nothing else is said."""
    return NewEvent(
        event_id,
        customer_id or f"customer-{event_id}",
        body or Purchase(0, Product("bank", "loan")),
        Source("test"),
    )


def recorded(new: NewEvent) -> Recorded:
    """What is told of an event that was recorded."""
    return Recorded(
        new,
        recorded_at=1,
        is_repeated=False,
        epoch=1,
        is_epoch_settled=True,
        positions={},
        published=NOTHING_PUBLISHED,
        events=(),
        narrowing=Narrowing(1),
    )


class Senders:
    """Threads that record one event each."""

    def __init__(self, ledger: Ledger, threads: ThreadPoolExecutor) -> None:
        """Record in `ledger`, in groups."""
        self.ledger = ledger
        self.recorder = GroupRecorder(ledger.record)
        self._threads = threads

    def send(self, *events: NewEvent) -> list[Future[Recorded]]:
        """Send events, each in a thread of its own."""
        return [self._threads.submit(self.recorder.record_one, one) for one in events]

    def send_and_wait(self, *events: NewEvent) -> list[Future[Recorded]]:
        """Send events while no group may begin, until all of them wait for one."""
        futures = self.send(*events)
        while len(self.recorder._waiting) < len(events):  # noqa: SLF001
            threading.Event().wait(0.001)
        return futures

    def occupy(self) -> list[Future[Recorded]]:
        """Begin as many groups as may be under way."""
        futures = []
        for number in range(GROUPS_AT_ONCE):
            futures += self.send(event(f"first-{number}"))
            self.ledger.wait_until_begun(1)
        return futures


@pytest.fixture
def senders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Senders]:
    """Senders whose groups are never slow."""
    monkeypatch.setattr("store.grouping.SLOW_SECONDS", NEVER)
    ledger = Ledger()
    with ThreadPoolExecutor(EVENTS_PER_GROUP_MAX + 10) as threads:
        yield Senders(ledger, threads)
        ledger.let_go_on()


def test_one_that_comes_alone_waits_for_nobody(senders: Senders) -> None:
    """It is recorded at once, by itself."""
    senders.ledger.let_go_on(1)
    assert senders.recorder.record_one(event("e1")).event.event_id == "e1"
    assert senders.ledger.groups == [["e1"]]


def test_those_who_come_meanwhile_are_recorded_together(senders: Senders) -> None:
    """As soon as one group is done the next takes all who wait, each with its own outcome."""
    names = [f"e{number}" for number in range(5)]
    first = senders.occupy()
    later = senders.send_and_wait(*map(event, names))
    senders.ledger.let_go_on(1)
    senders.ledger.wait_until_begun(1)
    assert sorted(senders.ledger.groups[-1]) == names
    senders.ledger.let_go_on()
    assert [future.result(SECONDS_MAX).event.event_id for future in later] == names
    assert len([future.result(SECONDS_MAX) for future in first]) == GROUPS_AT_ONCE


def test_events_of_one_customer_are_never_in_one_group(senders: Senders) -> None:
    """Each is answered with what its own event made of the customer; others are not held up."""
    senders.occupy()
    senders.send_and_wait(event("e1", customer_id="anna"))
    senders.send(event("e2", customer_id="anna"), event("e3", customer_id="boris"))
    while len(senders.recorder._waiting) < 3:  # noqa: SLF001
        threading.Event().wait(0.001)
    senders.ledger.let_go_on()
    senders.ledger.wait_until_begun(2)
    groups = senders.ledger.groups[GROUPS_AT_ONCE:]
    assert [sorted(group) for group in groups] == [["e1", "e3"], ["e2"]]


def test_a_group_takes_no_more_than_its_limit(senders: Senders) -> None:
    """Those who came later are in the next one."""
    senders.occupy()
    senders.send_and_wait(*(event(f"e{number}") for number in range(EVENTS_PER_GROUP_MAX + 1)))
    senders.ledger.let_go_on()
    senders.ledger.wait_until_begun(2)
    assert [len(group) for group in senders.ledger.groups[GROUPS_AT_ONCE:]] == [
        EVENTS_PER_GROUP_MAX,
        1,
    ]


def test_what_takes_away_waits_for_no_group(senders: Senders) -> None:
    """A revocation is recorded by itself while others wait."""
    senders.occupy()
    senders.send_and_wait(event("waits"))
    senders.send(event("revocation", Revocation(1, EVERYTHING)))
    senders.ledger.wait_until_begun(1)
    assert senders.ledger.groups[-1] == ["revocation"]


def test_a_slow_group_is_not_waited_for(senders: Senders, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when it waits for a lock: whoever comes later goes on without it."""
    senders.occupy()
    monkeypatch.setattr("store.grouping.SLOW_SECONDS", 0.0)
    senders.send(event("later"))
    senders.ledger.wait_until_begun(1)
    assert senders.ledger.groups[-1] == ["later"]


def test_one_that_is_refused_is_refused_alone(senders: Senders) -> None:
    """The others of its group are recorded."""
    refusal = AlreadyExistsError("taken", ErrorCode.EVENT_ID_TAKEN)
    senders.ledger.outcome_of = lambda new: (
        Refused(new, refusal) if new.event_id == "bad" else recorded(new)
    )
    senders.occupy()
    bad, good = senders.send_and_wait(event("bad"), event("good"))
    senders.ledger.let_go_on()
    assert good.result(SECONDS_MAX).event.event_id == "good"
    assert bad.exception(SECONDS_MAX) is refusal


def test_a_defect_of_one_is_not_the_others_concern(senders: Senders) -> None:
    """A group that fails for no known reason is recorded again, each by itself."""

    def fails_for_one(new: NewEvent) -> Outcome:
        if new.event_id == "bad":
            message = "a defect"
            raise RuntimeError(message)
        return recorded(new)

    senders.ledger.outcome_of = fails_for_one
    senders.occupy()
    bad, good = senders.send_and_wait(event("bad"), event("good"))
    senders.ledger.let_go_on()
    assert good.result(SECONDS_MAX).event.event_id == "good"
    assert isinstance(bad.exception(SECONDS_MAX), RuntimeError)


def test_when_postgresql_does_not_answer_each_is_told_so(senders: Senders) -> None:
    """Nobody tries again by themselves: it would take just as long."""

    def lost(_: NewEvent) -> Outcome:
        message = "PostgreSQL does not answer"
        raise UnavailableError(message)

    senders.ledger.outcome_of = lost
    senders.occupy()
    futures = senders.send_and_wait(event("e1"), event("e2"))
    senders.ledger.let_go_on()
    errors = [future.exception(SECONDS_MAX) for future in futures]
    assert [type(error) for error in errors] == [UnavailableError] * 2
    assert errors[0] is not errors[1]
    assert sorted(map(sorted, senders.ledger.groups[GROUPS_AT_ONCE:])) == [["e1", "e2"]]
