"""The judge, on histories written by hand: it finds what is broken, and nothing else."""

from typing import Final

from tests.faults.history import (
    EVERYBODY,
    Acknowledged,
    Answer,
    Asked,
    Change,
    FaultBegan,
    FaultEnded,
    Phase,
    Record,
    Refused,
    Restored,
    Sent,
    as_line,
    from_line,
)
from tests.faults.judging import ALLOW, DENY, UNDETERMINED, Fault, judge
from tests.faults.reporting import is_good, last_line

SECOND: Final = 1_000_000_000
SCOPE: Final = "contact/sms"
ANNA: Final = "anna"
OPENED: Final = (Change(ANNA, "consent", (SCOPE,)),)
RESTRICTED: Final = (Change(ANNA, "restriction", (SCOPE,)),)


def test_an_allow_after_an_effective_narrowing_is_stale() -> None:
    """Once a closing was EFFECTIVE, a check that starts afterwards may not allow the scope."""
    assert _faults(*_grant(1), *_revoke(3), _asked(5, ALLOW)) == [Fault.STALE_ALLOW]


def test_a_check_that_began_before_the_acknowledgement_may_allow() -> None:
    """Whoever asked before the answer to the narrowing was there may have been answered before."""
    assert _faults(*_grant(1), *_revoke(3), _asked(3, ALLOW, ended=6)) == []


def test_a_narrowing_that_is_only_durable_is_not_held_against_anybody() -> None:
    """DURABLE promises nothing to a check that carries no token."""
    assert _faults(*_grant(1), *_revoke(3, is_effective=False), _asked(5, ALLOW)) == []


def test_a_check_with_the_token_of_a_durable_narrowing_heeds_it() -> None:
    """A check that carries the token of a write is answered from a state that holds it."""
    durable = _revoke(3, is_effective=False)
    found = _faults(*_grant(1), *durable, _asked(5, ALLOW, write="revoke"))
    assert found == [Fault.STALE_ALLOW]


def test_a_widening_sent_before_the_check_ended_excuses_an_allow() -> None:
    """What was sent while a check ran may have been recorded before it was answered."""
    records = [*_grant(1), *_revoke(3), *_grant(6, "grant again")]
    assert _faults(*records, _asked(5, ALLOW, ended=7)) == []
    assert _faults(*records, _asked(4, ALLOW, ended=5)) == [Fault.STALE_ALLOW]


def test_a_grant_does_not_excuse_an_allow_under_a_restriction() -> None:
    """Each layer is closed by itself: only what lifts the restriction opens it."""
    restrict = _write("restrict", 3, closes=RESTRICTED)
    records = [*_grant(1), *restrict, *_grant(5, "grant again")]
    assert _faults(*records, _asked(8, ALLOW)) == [Fault.STALE_ALLOW]
    assert _faults(*records, *_write("lift", 9, opens=RESTRICTED), _asked(12, ALLOW)) == []


def test_a_publication_closes_a_scope_of_everybody() -> None:
    """What the catalog takes away is taken from every customer."""
    closes = (Change(EVERYBODY, "suspension", (SCOPE,)),)
    found = _faults(*_grant(1), *_write("publish", 3, closes=closes), _asked(5, ALLOW))
    assert found == [Fault.STALE_ALLOW]


def test_an_allow_beyond_a_restriction_to_come_is_stale() -> None:
    """An ALLOW must not hold, or be given, past the instant at which a closing takes hold."""
    closes = (Change(ANNA, "restriction", (SCOPE,), 1000),)
    records = [*_grant(1), *_write("restrict", 3, closes=closes)]
    assert _faults(*records, _asked(5, ALLOW, not_after=1000)) == []
    assert _faults(*records, _asked(5, ALLOW, not_after=1001)) == [Fault.STALE_ALLOW]
    assert _faults(*records, _asked(5, ALLOW, not_after=0)) == [Fault.STALE_ALLOW]
    assert _faults(*records, _asked(5, ALLOW, instant=1000)) == [Fault.STALE_ALLOW]


def test_a_repeat_that_is_effective_counts_from_its_own_answer() -> None:
    """A repeated event acknowledges anew."""
    again = Acknowledged("revoke", 6 * SECOND, 7 * SECOND, is_effective=True)
    records = [*_grant(1), *_revoke(3, is_effective=False), again]
    assert _faults(*records, _asked(5, ALLOW)) == []
    assert _faults(*records, _asked(8, ALLOW)) == [Fault.STALE_ALLOW]


def test_a_restore_loses_what_was_acknowledged_after_the_backup_began() -> None:
    """Such a narrowing counts again once it was repeated and acknowledged anew."""
    restored = Restored(2 * SECOND, 6 * SECOND, 8 * SECOND)
    records = [*_grant(1), *_revoke(3), restored]
    assert _faults(*records, _asked(5, ALLOW)) == [Fault.STALE_ALLOW]
    assert _faults(*records, _asked(10, ALLOW)) == []
    again = Acknowledged("revoke", 9 * SECOND, 10 * SECOND, is_effective=True)
    assert _faults(*records, again, _asked(11, ALLOW)) == [Fault.STALE_ALLOW]


def test_a_restore_keeps_what_was_acknowledged_before_the_backup() -> None:
    """A narrowing that the backup holds stays held."""
    restored = Restored(5 * SECOND, 6 * SECOND, 8 * SECOND)
    found = _faults(*_grant(1), *_revoke(3), restored, _asked(10, ALLOW))
    assert found == [Fault.STALE_ALLOW]


def test_a_deny_in_calm_after_an_acknowledged_grant_is_wrong() -> None:
    """A grant has to show a second later, and at once with its token."""
    assert _faults(*_grant(1), _asked(4, DENY)) == [Fault.WRONG_DENY]
    assert _faults(*_grant(1), _asked(2.5, DENY)) == []
    assert _faults(*_grant(1), _asked(2.5, DENY, write="grant")) == [Fault.WRONG_DENY]


def test_a_deny_is_right_once_a_narrowing_was_sent() -> None:
    """From then on nobody can tell which was first."""
    assert _faults(*_grant(1), Sent("revoke", 3 * SECOND, "", (), OPENED), _asked(4, DENY)) == []


def test_a_deny_outside_calm_is_not_judged() -> None:
    """While something is broken, and three seconds longer, grants may be late."""
    assert _faults(*_grant(1), *_fault(3, 4), _asked(6, DENY)) == []
    assert _faults(*_grant(1), *_fault(3, 4), _asked(8, DENY)) == [Fault.WRONG_DENY]


def test_unavailable_counts_and_is_a_violation_in_calm() -> None:
    """Errors and UNDETERMINED are expected only while something is broken."""
    failed = _asked(8, code="UNAVAILABLE")
    assert _faults(failed) == [Fault.UNAVAILABLE_IN_CALM]
    assert _faults(_asked(8, UNDETERMINED)) == [Fault.UNAVAILABLE_IN_CALM]
    assert _faults(*_fault(7, 9), failed) == []
    assert judge([*_frame(*_fault(7, 9), failed)]).unavailable == 1


def test_unavailable_while_only_redis_is_broken_is_a_violation() -> None:
    """PostgreSQL answers when Redis does not; when something else is broken too, it may not."""
    failed = _asked(8, code="DEADLINE_EXCEEDED")
    redis = _fault(7, 9, area="redis")
    assert _faults(*redis, failed) == [Fault.UNAVAILABLE_IN_REDIS_OUTAGE]
    assert _faults(*redis, *_fault(6, 9, name="other"), failed) == []


def test_a_defect_is_a_violation_whatever_is_broken() -> None:
    """No fault excuses INTERNAL."""
    assert _faults(*_fault(7, 9), _asked(8, code="INTERNAL")) == [Fault.DEFECT]


def test_a_write_that_is_refused_is_a_violation() -> None:
    """What the clients send is right, so only what passes may keep it from being recorded."""
    sent = Sent("revoke", 3 * SECOND, "revoke", (), OPENED)
    failed = Refused("revoke", 3 * SECOND, 4 * SECOND, "UNAVAILABLE")
    assert _faults(sent, failed) == []
    assert _faults(sent, failed._replace(code="ALREADY_EXISTS")) == [Fault.REFUSED]


def test_a_history_without_an_effective_narrowing_proves_nothing() -> None:
    """A campaign in which nothing was tried must not pass for a good one."""
    assert not is_good(judge(_frame(*_grant(1), _asked(3, ALLOW))))
    assert is_good(judge(_frame(*_grant(1), *_revoke(3), _asked(5, DENY))))


def test_the_last_line_counts_everything() -> None:
    """The line is what others read."""
    records = _frame(*_grant(1), *_revoke(3), *_fault(4, 5), _asked(4, ALLOW), _asked(10, DENY))
    assert last_line(judge(records)) == (
        "1 narrowings acknowledged, 2 checks, 1 faults, 1 stale ALLOW, 0 wrong DENY, 0 unavailable"
    )


def test_a_record_is_read_as_it_was_written() -> None:
    """A history in a file can be judged again."""
    records = _frame(*_grant(1), *_revoke(3), *_fault(4, 5), _asked(6, ALLOW, not_after=7))
    assert [from_line(as_line(record)) for record in records] == records


def _faults(*records: Record) -> list[Fault]:
    return [violation.fault for violation in judge(_frame(*records)).violations]


def _frame(*records: Record) -> list[Record]:
    return [Phase("quiet", 0), *records, Phase("end", 100 * SECOND)]


def _write(
    name: str,
    second: float,
    *,
    opens: tuple[Change, ...] = (),
    closes: tuple[Change, ...] = (),
    is_effective: bool = True,
) -> list[Record]:
    """Give a write that was sent at a second and answered at the next."""
    sent_at = int(second * SECOND)
    return [
        Sent(name, sent_at, name, opens, closes),
        Acknowledged(name, sent_at, sent_at + SECOND, is_effective),
    ]


def _grant(second: float, name: str = "grant") -> list[Record]:
    return _write(name, second, opens=OPENED)


def _revoke(second: float, *, is_effective: bool = True) -> list[Record]:
    return _write("revoke", second, closes=OPENED, is_effective=is_effective)


def _fault(began: float, ended: float, *, area: str = "process", name: str = "it") -> list[Record]:
    return [
        FaultBegan(name, name, area, int(began * SECOND)),
        FaultEnded(name, int(ended * SECOND), was_injected=True, detail=""),
    ]


def _asked(
    began: float,
    verdict: str = "",
    *,
    ended: float | None = None,
    code: str = "",
    not_after: int | None = None,
    instant: int | None = None,
    write: str = "",
) -> Asked:
    """Give a check; `write` is whose token it carried."""
    ended = began + 0.01 if ended is None else ended
    answers = (Answer(ANNA, SCOPE, verdict, "", not_after),) if verdict else ()
    return Asked(
        "decision-1",
        "MayContact",
        int(began * SECOND),
        int(ended * SECOND),
        code,
        answers,
        instant,
        write,
    )
