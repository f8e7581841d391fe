"""The judge: takes a history and says what in it breaks a promise.

What lives here: what counts as a violation, and how each is explained. The judge knows nothing but
the history; where that leaves a doubt, it is not held against the system.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from tests.faults.history import (
    Acknowledged,
    Answer,
    Asked,
    FaultBegan,
    FaultEnded,
    Record,
    Refused,
    Restored,
    Sent,
)
from tests.faults.spans import Conditions, conditions_of
from tests.faults.writes import Closed, Writes

ALLOW: Final = "ALLOW"
DENY: Final = "DENY"
UNDETERMINED: Final = "UNDETERMINED"
DEFECTS: Final = frozenset({"INTERNAL", "INVALID_ARGUMENT", "UNIMPLEMENTED", "DATA_LOSS"})
"""Statuses with which no check may ever fail, whatever is broken."""

NANOSECONDS_PER_MILLISECOND: Final = 1_000_000


class Fault(Enum):
    """What kind of violation it is."""

    STALE_ALLOW = "stale ALLOW"
    WRONG_DENY = "wrong DENY in calm"
    UNAVAILABLE_IN_CALM = "unavailable in calm"
    UNAVAILABLE_IN_REDIS_OUTAGE = "unavailable while only Redis was broken"
    DEFECT = "a check failed as none may"
    REFUSED = "a write was refused"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise, and what shows it."""

    fault: Fault
    at: int
    text: str


@dataclass(slots=True)
class Judgement:
    """What a history shows."""

    violations: list[Violation] = field(default_factory=list)
    closings_effective: int = 0
    closings_durable: int = 0
    checks: int = 0
    checks_in_calm: int = 0
    checks_in_redis_outage: int = 0
    unavailable: int = 0
    unavailable_by_code: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    missed_faults: Counter[str] = field(default_factory=Counter)
    effective_milliseconds: list[float] = field(default_factory=list)
    """From sending a closing to EFFECTIVE, in the quiet at the beginning."""

    def count(self, fault: Fault) -> int:
        """Give how many violations there are of a kind."""
        return sum(violation.fault is fault for violation in self.violations)


def judge(records: Sequence[Record]) -> Judgement:
    """Judge a whole history."""
    return _Judge(records).judge()


class _Judge:
    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._conditions: Conditions = conditions_of(records)
        self._writes = Writes()
        self._judgement = Judgement()
        self._faults: dict[str, FaultBegan] = {}
        self._healed: dict[str, int] = {}

    def judge(self) -> Judgement:
        # What a check must heed follows from what the history knows in the end: an answer may be
        # written down later than a check that began after it.
        for record in self._records:
            self._take(record)
        self._count_writes()
        for record in self._records:
            if isinstance(record, Asked):
                self._judge_check(record)
        return self._judgement

    def _take(self, record: Record) -> None:
        match record:
            case Sent():
                self._writes.add_sent(record)
            case Acknowledged():
                self._writes.add_acknowledged(record)
            case Restored():
                self._writes.add_restored(record)
            case Refused() if record.code not in _TRANSIENT:
                what = self._writes.by_id[record.write].sent.what
                self._blame(Fault.REFUSED, record.at, f"{what} ({record.write}): {record.code}")
            case FaultBegan():
                self._faults[record.fault] = record
            case FaultEnded():
                self._healed[record.fault] = record.at
                name = self._faults[record.fault].name
                (self._judgement.faults if record.was_injected else self._judgement.missed_faults)[
                    name
                ] += 1
            case _:
                pass

    def _count_writes(self) -> None:
        judgement = self._judgement
        for write in self._writes.by_id.values():
            if not write.sent.closes or not write.acknowledged:
                continue
            first = next((each for each in write.acknowledged if each.is_effective), None)
            if first is None:
                judgement.closings_durable += 1
                continue
            judgement.closings_effective += 1
            if self._conditions.quiet.hold(write.sent.at, first.at):
                waited = first.at - first.sent_at
                judgement.effective_milliseconds.append(waited / NANOSECONDS_PER_MILLISECOND)

    def _judge_check(self, check: Asked) -> None:
        self._judgement.checks += 1
        span = (check.began_at, check.ended_at)
        is_calm = self._conditions.calm.hold(*span)
        is_redis_outage = self._conditions.redis_outage.hold(*span)
        self._judgement.checks_in_calm += is_calm
        self._judgement.checks_in_redis_outage += is_redis_outage
        unavailable = check.code or (
            UNDETERMINED if any(answer.verdict == UNDETERMINED for answer in check.answers) else ""
        )
        if unavailable:
            self._judge_unavailable(
                check, unavailable, is_calm=is_calm, is_redis_outage=is_redis_outage
            )
        self._blame_first(Fault.STALE_ALLOW, check, self._stale_allow)
        if is_calm:
            self._blame_first(Fault.WRONG_DENY, check, self._wrong_deny)

    def _blame_first(
        self, fault: Fault, check: Asked, explain: Callable[[Asked, Answer], str]
    ) -> None:
        """Note one violation for each check at most: the others follow from the same."""
        for answer in check.answers:
            text = explain(check, answer)
            if text:
                self._blame(fault, check.began_at, f"{text}; {self._timing(check)}")
                return

    def _judge_unavailable(
        self, check: Asked, code: str, *, is_calm: bool, is_redis_outage: bool
    ) -> None:
        self._judgement.unavailable += 1
        self._judgement.unavailable_by_code[code] += 1
        text = f"{check.call} at {check.server}: {code}; {self._timing(check)}"
        if code in DEFECTS:
            self._blame(Fault.DEFECT, check.began_at, text)
        if is_calm:
            self._blame(Fault.UNAVAILABLE_IN_CALM, check.began_at, text)
        if is_redis_outage:
            self._blame(Fault.UNAVAILABLE_IN_REDIS_OUTAGE, check.began_at, text)

    def _stale_allow(self, check: Asked, answer: Answer) -> str:
        """Say what is stale about an answer; empty if nothing is."""
        if answer.verdict != ALLOW:
            return ""
        for closed in self._writes.closings(answer.customer_id, answer.scope, check):
            if _is_beyond(check, answer, closed):
                waited = (check.began_at - closed.acknowledged_at) / NANOSECONDS_PER_MILLISECOND
                return (
                    f"{_said(check, answer)} (not after {answer.not_after}) {waited:.1f} ms after "
                    f"{closed.write.sent.what!r} ({closed.write.sent.write}) was acknowledged"
                )
        return ""

    def _wrong_deny(self, check: Asked, answer: Answer) -> str:
        """Say what is wrong about a denial; empty if nothing is."""
        if answer.verdict == DENY and self._writes.is_surely_open(
            answer.customer_id, answer.scope, check
        ):
            return f"{_said(check, answer)} though it was opened and not closed since"
        return ""

    def _timing(self, check: Asked) -> str:
        took = (check.ended_at - check.began_at) / NANOSECONDS_PER_MILLISECOND
        return f"began at {check.began_at}, took {took:.1f} ms; {'; '.join(self._around(check))}"

    def _around(self, check: Asked) -> Iterator[str]:
        """Name what was broken then, and what healed last."""
        last_healed: tuple[int, str] | None = None
        for fault in self._faults.values():
            healed_at = self._healed.get(fault.fault)
            if fault.at <= check.ended_at and (healed_at is None or healed_at >= check.began_at):
                yield f"during {fault.name!r}"
            elif healed_at is not None and healed_at < check.began_at:
                last_healed = max(last_healed or (0, ""), (healed_at, fault.name))
        if last_healed is not None:
            seconds = (check.began_at - last_healed[0]) / 1e9
            yield f"{seconds:.3f} s after {last_healed[1]!r} healed"

    def _blame(self, fault: Fault, at: int, text: str) -> None:
        self._judgement.violations.append(Violation(fault, at, text))


_TRANSIENT: Final = frozenset(
    {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "ABORTED"}
)
"""With these a write may fail while something is broken; it is sent again."""


def _said(check: Asked, answer: Answer) -> str:
    token = f" with the token of {check.token_of}" if check.token_of else ""
    return (
        f"{check.call} at {check.server}{token}: {answer.verdict} ({answer.reason}) for "
        f"{answer.scope} of {answer.customer_id}"
    )


def _is_beyond(check: Asked, answer: Answer, closed: Closed) -> bool:
    """Tell whether an ALLOW reaches past what a closing has left."""
    if closed.from_instant is None:
        return True
    if check.instant is not None and check.instant >= closed.from_instant:
        return True
    # Suggested channels come without an end of their own: only what is said is judged.
    return answer.not_after is not None and (
        answer.not_after == 0 or answer.not_after > closed.from_instant
    )
