"""What a write, or time alone, changes in a person's permissions."""

from hypothesis import given
from hypothesis import strategies as st

from decision.answer import answer_scope
from decision.changes import (
    Direction,
    PermissionChange,
    first_losses,
    lapses_and_beginnings,
    next_change_at,
    permission_changes,
)
from decision.events import TimelineEvent
from decision.grants import Basis
from decision.instants import FOREVER, Instant
from decision.reasons import Reason
from decision.scopes import Scope
from decision.selectors import Selector
from decision.timeline import PermissionTimeline, Segment
from tests.unit.decision_builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    MARCH,
    MAY,
    PHONE,
    SCORING_TO_ACME,
    SMS,
    catalog,
    codes,
    consent,
    restriction,
    revocation,
    timeline,
    wording,
)

BOTH = catalog(
    wordings=[wording(grants=[{"purpose": "advertising", "channels": ["sms", "phone"]}])]
)


def changes(
    before: list[TimelineEvent], after: list[TimelineEvent], at: Instant
) -> list[PermissionChange]:
    """What changes when more is known, from an instant on."""
    return list(permission_changes(timeline(before), catalog(), timeline(after), catalog(), at))


def directions(
    before: list[TimelineEvent], after: list[TimelineEvent], at: Instant
) -> dict[Scope, Direction]:
    """The direction of each scope that changes."""
    return {change.scope: change.direction for change in changes(before, after, at)}


def test_new_consent_widens() -> None:
    """The change tells the answers before and after."""
    (change,) = changes([], [consent()], MARCH)
    assert (change.scope, change.direction, change.at) == (SMS, Direction.WIDENED, MARCH)
    assert (change.before.reason, change.after.reason) == (Reason.UNKNOWN_CUSTOMER, Reason.ALLOWED)


def test_revocation_narrows() -> None:
    """What is taken away now or later is narrowed, also where nothing holds at the instant."""
    assert directions([consent()], [consent(), revocation()], MARCH) == {SMS: Direction.NARROWED}
    later = [consent(at=APRIL)]
    assert directions(later, [*later, revocation(at=MAY)], MARCH) == {SMS: Direction.NARROWED}


def test_shorter_term_narrows_and_longer_widens() -> None:
    """The future counts as much as the present."""
    short, long = [consent(expires_at=APRIL)], [consent(expires_at=MAY)]
    assert directions(long, short, MARCH) == {SMS: Direction.NARROWED}
    assert directions(short, long, MARCH) == {SMS: Direction.WIDENED}


def test_moved_interval_changes_both_ways() -> None:
    """Something is taken away at one instant and given at another."""
    before, after = [consent(at=MARCH, expires_at=APRIL)], [consent(at=APRIL, expires_at=MAY)]
    assert directions(before, after, FEBRUARY) == {SMS: Direction.CHANGED}


def test_gap_within_narrows() -> None:
    """A restriction in the middle takes away and gives nothing."""
    after = [consent(), restriction("e2", MARCH, APRIL)]
    assert directions([consent()], after, JANUARY) == {SMS: Direction.NARROWED}
    assert directions(after, [consent()], JANUARY) == {SMS: Direction.WIDENED}


def test_past_can_not_change() -> None:
    """What differs only before the instant is no change, nor is another reason for a denial."""
    late_revocation = [consent(expires_at=MARCH), revocation(at=FEBRUARY)]
    assert directions([consent(expires_at=MARCH)], late_revocation, MARCH) == {}
    assert directions([consent(expires_at=MARCH)], late_revocation, MARCH - 1) == {
        SMS: Direction.NARROWED
    }


def test_same_permission_by_another_grant_is_no_change() -> None:
    """Another basis gives and takes nothing."""
    assert directions([consent()], [consent(), consent("e2", FEBRUARY)], MARCH) == {}


def test_suspension_in_a_new_catalog_narrows() -> None:
    """Permissions are compared each under its own catalog."""
    grants = [{"purpose": "advertising", "partners": ["acme"], "datasets": ["scoring"]}]
    free = catalog(wordings=[wording(grants=grants)])
    suspending = catalog(
        wordings=[wording(grants=grants)],
        partners=[{"code": "acme", "suspended_from": "2024-04-01T00:00:00Z"}, *codes("blue")],
    )
    known = timeline([consent()], free)
    (change,) = permission_changes(known, free, known, suspending, MARCH)
    assert (change.scope, change.direction) == (SCORING_TO_ACME, Direction.NARROWED)
    assert change.before.is_allowed
    assert change.after.not_after == APRIL


def test_changes_come_in_a_stable_order() -> None:
    """By kind and codes, whatever order the wording lists them in."""
    found = permission_changes(timeline([], BOTH), BOTH, timeline([consent()], BOTH), BOTH, MARCH)
    assert [change.scope for change in found] == [PHONE, SMS]


def test_next_change() -> None:
    """The next beginning or lapse strictly after an instant, or none."""
    known = timeline([consent(at=FEBRUARY, expires_at=APRIL), restriction("e2", MARCH, MARCH + 1)])
    instants = [next_change_at(known, catalog(), at) for at in (JANUARY, FEBRUARY, MARCH, APRIL)]
    assert instants == [FEBRUARY, MARCH, MARCH + 1, FOREVER]


def test_time_changes_a_scope_once_at_an_instant() -> None:
    """Where one term or restriction ends as the next begins, nothing changes or one thing does."""
    known = timeline(
        [
            consent(at=JANUARY, expires_at=FEBRUARY),
            consent("e2", at=FEBRUARY, expires_at=MAY),
            restriction("e3", MARCH - 1, MARCH),
            restriction("e4", MARCH, APRIL),
            consent("e5", at=MAY, expires_at=MAY + 1),
        ]
    )
    told = [
        (change.at, change.direction)
        for change in lapses_and_beginnings(known, catalog(), JANUARY - 1, FOREVER)
    ]
    assert told == [
        (JANUARY, Direction.WIDENED),
        (MARCH - 1, Direction.NARROWED),
        (APRIL, Direction.WIDENED),
        (MAY + 1, Direction.NARROWED),
    ]


def test_lapses_and_beginnings_are_told_in_order_of_time() -> None:
    """The first instant is left out and the last is in, so that pieces of time join."""
    events = [
        consent(at=FEBRUARY, expires_at=MAY),
        revocation("e2", APRIL, Selector(channel="phone")),
    ]
    known = timeline(events, BOTH)
    told = [
        (change.at, change.scope, change.direction)
        for change in lapses_and_beginnings(known, BOTH, JANUARY, MAY)
    ]
    assert told == [
        (FEBRUARY, PHONE, Direction.WIDENED),
        (FEBRUARY, SMS, Direction.WIDENED),
        (APRIL, PHONE, Direction.NARROWED),
        (MAY, SMS, Direction.NARROWED),
    ]
    assert list(lapses_and_beginnings(known, BOTH, FEBRUARY, APRIL - 1)) == []
    (lapse,) = lapses_and_beginnings(known, BOTH, APRIL, MAY)
    assert (lapse.before.reason, lapse.after.reason) == (Reason.ALLOWED, Reason.CONSENT_EXPIRED)


def losses(
    before: list[TimelineEvent], after: list[TimelineEvent], since: Instant = JANUARY
) -> list[Instant]:
    """When each scope that loses something loses it first, looking from an instant on."""
    return first_losses(timeline(before), timeline(after), since)


def test_what_was_never_there_can_not_be_lost() -> None:
    """Neither a stranger nor somebody who gains loses anything."""
    assert losses([], [consent()]) == []
    assert losses([consent(expires_at=MARCH)], [consent(expires_at=MARCH), consent("e2")]) == []


def test_a_loss_begins_where_something_allowed_is_not_any_more() -> None:
    """At once or in the future, at the end or in the middle, and whatever begins again after it."""
    granted = [consent(at=FEBRUARY)]
    assert losses(granted, [*granted, revocation(at=APRIL)]) == [APRIL]
    assert losses(granted, [*granted, restriction("e2", MARCH, APRIL)]) == [MARCH]
    assert losses(granted, [*granted, restriction("e2", JANUARY, APRIL)]) == [FEBRUARY]
    assert losses(granted, []) == [FEBRUARY]
    assert losses([consent(expires_at=MAY)], [consent(expires_at=APRIL)]) == [APRIL]


def test_a_loss_is_told_from_the_instant_on_that_is_looked_from() -> None:
    """What was lost of the time before it does not count."""
    granted = [consent(expires_at=MARCH)]
    after = [*granted, revocation(at=FEBRUARY)]
    assert losses(granted, after, FEBRUARY + 1) == [FEBRUARY + 1]
    assert losses(granted, after, MARCH - 1) == [MARCH - 1]
    assert losses(granted, after, MARCH) == []


def test_a_moved_interval_loses_what_it_leaves() -> None:
    """That it gains elsewhere does not make up for it."""
    before, after = [consent(at=MARCH, expires_at=APRIL)], [consent(at=APRIL, expires_at=MAY)]
    assert losses(before, after) == [MARCH]


def test_each_scope_loses_by_itself() -> None:
    """One instant for each scope that loses something, and none for the others."""
    without_phone = revocation("e2", MARCH, Selector(channel="phone"))
    sms_later = restriction("e3", APRIL, MAY, Selector(channel="sms"))

    def losses_by(*more: TimelineEvent) -> list[Instant]:
        before, after = timeline([consent()], BOTH), timeline([consent(), *more], BOTH)
        return sorted(first_losses(before, after, JANUARY))

    assert losses_by(without_phone, sms_later) == [MARCH, APRIL]
    assert losses_by(sms_later) == [APRIL]


def test_a_term_that_another_grant_carries_on_loses_nothing() -> None:
    """It matters what is allowed, not by what."""
    granted = [consent(expires_at=MARCH), consent("e2", FEBRUARY, expires_at=MAY)]
    assert losses(granted, [granted[1], consent("e3", JANUARY, expires_at=FEBRUARY)]) == []


def test_a_loss_behind_a_suspension_is_a_loss() -> None:
    """A record made under a suspension may be asked under a catalog that ended it."""
    grants = [{"purpose": "advertising", "partners": ["acme"], "datasets": ["scoring"]}]
    suspending = catalog(
        wordings=[wording(grants=grants)],
        partners=[{"code": "acme", "suspended_from": "2000-01-01T00:00:00Z"}, *codes("blue")],
    )
    before, after = (
        timeline([consent()], suspending),
        timeline([consent(), revocation()], suspending),
    )
    assert list(permission_changes(before, suspending, after, suspending, JANUARY)) == []
    assert first_losses(before, after, JANUARY) == [MARCH]


instants = st.integers(0, 12)
segments = st.lists(instants, max_size=6, unique=True).map(sorted)


@given(segments, segments, instants)
def test_the_first_loss_is_the_first_instant_that_answers_differently(
    before: list[int], after: list[int], since: int
) -> None:
    """Looking at every instant one by one comes to the same."""

    def allowed_during(ends: list[int]) -> PermissionTimeline:
        basis = Basis("e1", "ads", 1, None, 0, FOREVER)
        parts = [Segment(*pair, Reason.ALLOWED, 0) for pair in intervals_of(ends)]
        return PermissionTimeline(
            is_known=True, segments={SMS: parts}, restrictions=(), bases=(basis,)
        )

    old, new = allowed_during(before), allowed_during(after)
    expected = [
        at
        for at in range(since, 13)
        if answer_scope(old, None, SMS, at).is_allowed
        and not answer_scope(new, None, SMS, at).is_allowed
    ]
    assert first_losses(old, new, since) == expected[:1]


def intervals_of(ends: list[int]) -> list[tuple[int, int]]:
    """Intervals of which `ends` are beginnings and ends in turn; what is left over is dropped."""
    return list(zip(ends[::2], ends[1::2], strict=False))
