"""Journalling: what was answered is written down, behind the back of whoever waits for an answer.

What lives here: which answers are kept, how many may wait to be written, and what becomes of those
for which there is no room. The rows are `store.journal`'s. In the thread of a call an answer is
only put in a queue, as the values that it was made of; everything else is done in the background.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from sqlalchemy import Engine

from decision.answer import Answer
from decision.errors import MayweError, OverloadedError
from decision.grants import Basis
from decision.instants import Instant
from decision.reasons import Reason
from service.access.gate import calling
from service.asked import CheckQuestion
from service.batches import Decided
from service.checking import Check, Checker, Decision, Undetermined
from service.judging import Judged
from store import journal
from store.clocks import wall_clock
from store.journal import JournalEntry

ENTRIES_WAITING_MAX: Final = 50_000
"""Answers that wait to be written, of all calls together; each takes a kilobyte or so."""

ENTRIES_PER_WRITE_MAX: Final = 2_000
WAKING_COUNT: Final = 1_000
"""Whoever puts this many in the queue does not wait for the writer to look by itself."""

WRITE_SECONDS: Final = 0.2
"""How often what waits is written. A process that is killed loses what it answered since."""

CLOSING_SECONDS_MAX: Final = 10.0
"""How long a process that stops tries to write what waits."""

CLOSING_PAUSE_SECONDS: Final = 0.1

_logger = logging.getLogger(__name__)


class JournalMode(Enum):
    """Which answers are journalled."""

    OFF = "off"
    SAMPLED = "sampled"
    ALL = "all"


class _Batch(NamedTuple):
    caller: str
    checks: Sequence[Check | MayweError]
    decided: Decided
    answered_at: Instant


_Item: TypeAlias = JournalEntry | _Batch


class Journal:
    """Takes answers and writes them. Safe to be used by several threads.

    `write` MUST be called all the time, by one thread, and `close` at the end.

    With ALL an answer for which there is no room is not given: what is journalled whole may not
    have holes that nobody sees. Of a sample it is counted and logged as lost.
    """

    def __init__(
        self,
        engine: Engine,
        mode: JournalMode,
        share: float,
        entries_waiting_max: int = ENTRIES_WAITING_MAX,
    ) -> None:
        """Write to `engine` every answer, or of a sample this share."""
        self._engine = engine
        self._is_sample = mode is JournalMode.SAMPLED
        self._share = share
        self._waiting_max = entries_waiting_max
        self._lock = threading.Lock()
        self._items: deque[_Item] = deque()
        self._waiting = 0
        self._entries: list[JournalEntry] = []
        self._is_repeat = False
        self._shed_told = 0
        self.written = 0
        self.shed = 0
        """Answers of a sample for which there was no room."""
        self.lost = 0
        """Answers that could not be written, each of them logged."""
        self.wake = threading.Event()

    @property
    def waiting(self) -> int:
        """How many answers are not written yet."""
        return self._waiting + len(self._entries)

    def add(self, check: Check, decision: Decision, *, is_chosen: bool = False) -> None:
        """Take an answer, or not, if it is not of the sample and was not chosen for it.

        Raises OverloadedError where it may not be given.
        """
        if self._is_sample and not is_chosen and random.random() >= self._share:  # noqa: S311 - a sample, no secret
            return
        # Who asks about a later instant has an answer for it now.
        answered_at = decision.decided_at if check.at is None else wall_clock()
        entry = _entry_of(calling(), check.customer_id, check.question, decision, answered_at)
        self._put(entry, 1)

    def add_batch(self, checks: Sequence[Check | MayweError], decided: Decided) -> None:
        """Take the answers of a batch, of which a sample is chosen later. Raises as `add` does."""
        self._put(_Batch(calling(), checks, decided, wall_clock()), decided.check_count)

    def _put(self, item: _Item, count: int) -> None:
        with self._lock:
            has_room = self._waiting + len(self._entries) + count <= self._waiting_max
            if has_room:
                self._waiting += count
                self._items.append(item)
            elif self._is_sample:
                self.shed += count
        if not has_room and not self._is_sample:
            message = (
                "every answer is to be journalled, and the journal can not be written as fast: "
                "ask again later"
            )
            raise OverloadedError(message)
        if self._waiting >= WAKING_COUNT and not self.wake.is_set():
            self.wake.set()

    def write(self, stop: threading.Event | None = None) -> None:
        """Write what waits. Raises UnavailableError, and keeps it, without PostgreSQL.

        What comes meanwhile is left for the next time: written at once it would be a few rows at a
        time, each few of them at the cost of a transaction.
        """
        self._tell_of_losses()
        is_more = True
        while is_more and (stop is None or not stop.is_set()):
            if not self._entries:
                self._take()
            is_more = len(self._entries) >= ENTRIES_PER_WRITE_MAX
            if not self._entries:
                return
            try:
                self._write_entries(self._entries)
            except MayweError:
                raise
            except Exception:
                # Nothing is known that PostgreSQL would not take, but it may not hold up the rest.
                _logger.exception("journalling failed: its entries are written one by one")
                self._write_singly(self._entries)
            self._entries = []

    def _write_singly(self, entries: Sequence[JournalEntry]) -> None:
        for entry in entries:
            try:
                self._write_entries([entry])
            except MayweError:
                raise
            except Exception:
                self.lost += 1
                _logger.exception("the decision %s could not be journalled", entry.decision_id)

    def _write_entries(self, entries: Sequence[JournalEntry]) -> None:
        # What is written for a second time may have been committed the first time.
        is_repeat, self._is_repeat = self._is_repeat, True
        journal.append(self._engine, entries, is_repeat=is_repeat)
        self._is_repeat = False
        self.written += len(entries)

    def _take(self) -> None:
        """Take items out of the queue, and make entries of them."""
        taken = 0
        while self._items and len(self._entries) < ENTRIES_PER_WRITE_MAX:
            item = self._items.popleft()
            if isinstance(item, JournalEntry):
                taken += 1
                self._entries.append(item)
                continue
            count = item.decided.check_count
            taken += count
            try:
                self._entries += self._sampled(_entries_of(item))
            except Exception:
                self.lost += count
                _logger.exception("%d answers could not be journalled", count)
        with self._lock:
            self._waiting -= taken

    def _sampled(self, entries: Iterator[JournalEntry]) -> Iterator[JournalEntry]:
        if not self._is_sample:
            return entries
        return (entry for entry in entries if random.random() < self._share)  # noqa: S311 - as above

    def _tell_of_losses(self) -> None:
        shed = self.shed
        if shed > self._shed_told:
            _logger.warning(
                "%d answers of the sample are not journalled: PostgreSQL does not take them as "
                "fast",
                shed - self._shed_told,
            )
            self._shed_told = shed

    def close(self) -> None:
        """Write what waits, for as long as may be; what is left then is lost, and told."""
        ends_at = time.monotonic() + CLOSING_SECONDS_MAX
        while True:
            try:
                self.write()
                return
            except MayweError as error:
                if time.monotonic() > ends_at:
                    left = self.waiting
                    self.lost += left
                    _logger.error("%d answers could not be journalled: %s", left, error)  # noqa: TRY400 - PostgreSQL is away
                    return
            time.sleep(CLOSING_PAUSE_SECONDS)


class JournallingChecker:
    """A checker whose answers are journalled."""

    def __init__(self, checker: Checker, taken: Journal) -> None:
        """Answer by `checker`."""
        self._decide = checker.decide
        self._add = taken.add

    def decide(self, check: Check) -> Decision:
        """Answer one check; raises as `Checker.decide`, and OverloadedError as `Journal.add`."""
        decision = self._decide(check)
        self._add(check, decision)
        return decision


def decider_of(checker: Checker, taken: Journal | None) -> Callable[[Check], Decision]:
    """Give what answers single checks: without a journal nothing stands between."""
    return checker.decide if taken is None else JournallingChecker(checker, taken).decide


def _entry_of(
    caller: str,
    customer_id: str,
    question: CheckQuestion,
    decision: Decision,
    answered_at: Instant,
) -> JournalEntry:
    answers, channels, version, publication, decided_at, decision_id, is_outside = decision
    return JournalEntry(
        answered_at,
        decision_id,
        caller,
        customer_id,
        question,
        decided_at,
        version,
        publication,
        is_outside,
        answers,
        channels,
    )


def _entries_of(item: _Batch) -> Iterator[JournalEntry]:
    caller, checks, decided, answered_at = item
    customer_ids = [check.customer_id if isinstance(check, Check) else "" for check in checks]
    for places, judged in decided.together:
        yield from _judged_entries(item, places, judged, customer_ids)
    for place, (question, one) in decided.singly.items():
        if isinstance(one, Undetermined):
            yield _undetermined_entry(item, customer_ids[place], question, one)
        else:
            yield _entry_of(caller, customer_ids[place], question, one, answered_at)


def _undetermined_entry(
    item: _Batch, customer_id: str, question: CheckQuestion, one: Undetermined
) -> JournalEntry:
    return JournalEntry(
        item.answered_at,
        one.decision_id,
        item.caller,
        customer_id,
        question,
        one.decided_at,
        state_version=0,
        publication=0,
        is_outside_promise=False,
        answers=[Answer(Reason.UNAVAILABLE)] * len(question.scopes),
        allowed_channels=(),
    )


def _judged_entries(
    item: _Batch, places: Sequence[int], judged: Judged, customer_ids: Sequence[str]
) -> Iterator[JournalEntry]:
    told = _told(judged)
    # Many of a batch ask the same and are answered alike.
    scope_counts = [len(asked.question.scopes) for asked in judged.asked]
    channels_by_reasons: dict[tuple[int, bytes], list[str]] = {}
    for index, number, version, first in zip(
        judged.answered, judged.questions, judged.state_versions, judged.firsts, strict=True
    ):
        question, read_count, channels = judged.asked[number]
        reasons = judged.reasons[first : first + read_count]
        allowed = channels_by_reasons.get((number, reasons))
        if allowed is None:
            allowed = channels_by_reasons[number, reasons] = [
                code for code, scope in channels if reasons[scope] == Reason.ALLOWED
            ]
        place = places[index]
        yield JournalEntry(
            item.answered_at,
            judged.decision_id_at(place),
            item.caller,
            customer_ids[place],
            question,
            judged.decided_at,
            version,
            judged.publication,
            False,  # noqa: FBT003 - by place: such entries are made by the thousand
            [
                told.get(first + scope) or _DENIED[reasons[scope]]
                for scope in range(scope_counts[number])
            ],
            allowed,
        )


_DENIED: Final = {reason.value: Answer(reason) for reason in Reason}


def _told(judged: Judged) -> dict[int, Answer]:
    """Give every ALLOW that is told, by its place among the reasons."""
    bases = judged.bases
    return {
        place: Answer(
            Reason.ALLOWED,
            not_after,
            Basis(
                event_id.decode(),
                bases.grants[granted].consent_type,
                bases.grants[granted].wording_version,
                None,
                obtained_at,
                ends_at,
            ),
        )
        for place, is_readable, not_after, granted, event_id, obtained_at, ends_at in zip(
            judged.allowed,
            bases.is_readable.tolist(),
            judged.not_after.tolist(),
            bases.granted,
            bases.event_ids,
            bases.obtained_at.tolist(),
            bases.ends_at.tolist(),
            strict=True,
        )
        # Whose basis can not be read was answered by itself.
        if is_readable
    }
