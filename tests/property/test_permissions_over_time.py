"""Permissions over all time at once, and their changes, against single answers.

What is allowed, what a write changes and what time alone changes are each worked out over whole
intervals; the answer at one instant is the measure of all three.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision.answer import allowed_intervals, allowed_intervals_by_scope, answer_scope
from decision.catalog import Catalog, Interval
from decision.changes import (
    Direction,
    allowed_otherwise,
    lapses_and_beginnings,
    next_change_at,
    permission_changes,
)
from decision.errors import MayweError
from decision.instants import BEGINNING, FOREVER, Instant
from decision.scopes import Scope
from decision.timeline import NO_BASIS, PermissionTimeline, Segment, permission_timeline
from tests.decision_system import DecisionSystem, Known
from tests.model.random_probes import random_scenario
from tests.property.strategies import scenarios

pytestmark = pytest.mark.property

SEEDS: Final = range(25)
CUSTOMERS: Final = ("anna", "boris", "vera", "Анна")
thorough_enough = settings(max_examples=40, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("seed", SEEDS)
def test_allowed_intervals_say_what_the_answers_say(seed: int) -> None:
    """A scope is allowed at an instant just when an interval holds, which ends at `not_after`."""
    for known in states_after_each_step(random_scenario(seed)):
        check_allowed_intervals(known)


@thorough_enough
@given(scenario=scenarios(probes=0))
def test_generated_allowed_intervals_say_what_the_answers_say(scenario: dict[str, Any]) -> None:
    """The same for whatever Hypothesis comes upon."""
    for known in states_after_each_step(scenario):
        check_allowed_intervals(known)


@pytest.mark.parametrize("seed", SEEDS)
def test_changes_are_where_answers_differ(seed: int) -> None:
    """A scope changed just when some answer from then on differs, and in that direction."""
    for before, after in pairs_of_states(random_scenario(seed)):
        check_permission_changes(before, after)


@thorough_enough
@given(scenario=scenarios(probes=0))
def test_generated_changes_are_where_answers_differ(scenario: dict[str, Any]) -> None:
    """The same for whatever Hypothesis comes upon."""
    for before, after in pairs_of_states(scenario):
        check_permission_changes(before, after)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_beginning_and_lapse_is_told(seed: int) -> None:
    """Time alone changes a permission just where two answers a microsecond apart differ."""
    for known in states_after_each_step(random_scenario(seed)):
        check_lapses(known)


@thorough_enough
@given(scenario=scenarios(probes=0), data=st.data())
def test_every_beginning_and_lapse_is_told_once(
    scenario: dict[str, Any], data: st.DataObject
) -> None:
    """However time is cut into pieces, the pieces tell together what the whole tells."""
    for known in last_states(scenario):
        instants = sorted(instants_that_matter(known.timeline, known.catalog))
        if not instants:
            continue
        cuts = sorted(data.draw(st.lists(st.sampled_from(instants), min_size=2, max_size=6)))
        pieces = [
            change
            for start, end in pairwise(cuts)
            for change in lapses_and_beginnings(known.timeline, known.catalog, start, end)
        ]
        whole = lapses_and_beginnings(known.timeline, known.catalog, cuts[0], cuts[-1])
        assert pieces == list(whole)


def check_allowed_intervals(known: Known) -> None:
    """Compare intervals with answers, for every scope and from every instant that matters on."""
    timeline, catalog = known.timeline, known.catalog
    instants = sorted(instants_that_matter(timeline, catalog))
    for scope in timeline.segments:
        suspension = catalog.suspension_of(scope)
        whole = allowed_intervals(timeline, suspension, scope, BEGINNING)
        assert all(interval.start < interval.end for interval in whole)
        assert all(former.end < latter.start for former, latter in pairwise(whole))
        for at in instants:
            answer = answer_scope(timeline, suspension, scope, at)
            holding = [interval for interval in whole if interval.holds_at(at)]
            assert answer.is_allowed == bool(holding)
            if holding:
                assert answer.not_after == holding[0].end
            assert allowed_intervals(timeline, suspension, scope, at) == [
                interval for interval in whole if interval.end > at
            ]


@pytest.mark.parametrize("seed", SEEDS)
def test_grants_that_end_alike_are_worked_out_as_scope_by_scope(seed: int) -> None:
    """Whole wordings at a time or one scope after the other: the same timeline comes of it."""
    for known in states_after_each_step(random_scenario(seed)):
        check_coverings(known)


@thorough_enough
@given(scenario=scenarios(probes=0))
def test_generated_grants_are_worked_out_as_scope_by_scope(scenario: dict[str, Any]) -> None:
    """The same for whatever Hypothesis comes upon."""
    for known in states_after_each_step(scenario):
        check_coverings(known)


def check_coverings(known: Known) -> None:
    """Compare the timeline of grants with those of the same grants for one scope at a time."""
    for scope, segments in known.timeline.segments.items():
        by_itself = permission_timeline(
            replace(
                known.folded,
                grants=[
                    grant._replace(scopes=(scope,), ends_apart={}).with_term_end(ending)
                    for grant in known.folded.grants
                    if (ending := grant.endings.get(scope)) is not None
                ],
            )
        )
        assert _told(by_itself, by_itself.segments[scope]) == _told(known.timeline, segments)
    for scope, intervals in allowed_intervals_by_scope(known.timeline, BEGINNING):
        assert intervals == allowed_intervals(known.timeline, None, scope, BEGINNING)


def _told(timeline: PermissionTimeline, segments: Sequence[Segment]) -> list[object]:
    return [
        (start, end, reason, None if basis == NO_BASIS else timeline.bases[basis])
        for start, end, reason, basis in segments
    ]


def check_permission_changes(before: Known, after: Known) -> None:
    """Compare the changes from a few instants on with the answers at every instant from then on."""
    instants = sorted(
        instants_that_matter(before.timeline, before.catalog)
        | instants_that_matter(after.timeline, after.catalog)
    )
    scopes = {*before.timeline.segments, *after.timeline.segments}
    for at in instants[:: max(1, len(instants) // 3)]:
        changes = list(
            permission_changes(before.timeline, before.catalog, after.timeline, after.catalog, at)
        )
        told = {change.scope: change for change in changes}
        assert len(told) == len(changes)
        for scope in scopes:
            direction = direction_by_answers(
                (before.answer(scope, instant).is_allowed, after.answer(scope, instant).is_allowed)
                for instant in instants
                if instant >= at
            )
            change = told.get(scope)
            assert (change.direction if change is not None else None) is direction
            if change is not None:
                assert change.at == at
                assert change.before == before.answer(scope, at)
                assert change.after == after.answer(scope, at)
        check_allowed_otherwise(before.timeline, after.timeline, at)


def check_allowed_otherwise(
    before: PermissionTimeline, after: PermissionTimeline, since: Instant
) -> None:
    """Compare what is allowed otherwise with what is allowed, scope by scope."""
    told = list(allowed_otherwise(before, after, since))
    expected = []
    for scope in sorted({*before.segments, *after.segments}):
        old = cut_off(since, allowed_intervals(before, None, scope, since))
        new = allowed_intervals(after, None, scope, since)
        if old != cut_off(since, new):
            expected.append((scope, old, new))
    assert [(scope, [*old], new) for scope, old, new in told] == expected


def cut_off(since: Instant, intervals: Sequence[Interval]) -> list[tuple[Instant, Instant]]:
    """What is left of intervals from an instant on."""
    return [(max(since, start), end) for start, end in intervals]


def direction_by_answers(allowed: Iterable[tuple[bool, bool]]) -> Direction | None:
    """In which direction a scope changed, told by whether it was allowed before and is after."""
    pairs = set(allowed)
    loses, gains = (True, False) in pairs, (False, True) in pairs
    if loses and gains:
        return Direction.CHANGED
    if loses:
        return Direction.NARROWED
    return Direction.WIDENED if gains else None


def check_lapses(known: Known) -> None:
    """Compare what time alone changes with answers a microsecond apart."""
    timeline, catalog = known.timeline, known.catalog
    instants = sorted(instants_that_matter(timeline, catalog))
    expected = []
    for at in instants[1:]:
        for scope in timeline.segments:
            was, is_ = known.answer(scope, at - 1), known.answer(scope, at)
            if was.is_allowed != is_.is_allowed:
                direction = Direction.WIDENED if is_.is_allowed else Direction.NARROWED
                expected.append((at, scope, direction, was, is_))
    if not instants:
        assert expected == []
        return
    told = [
        (change.at, change.scope, change.direction, change.before, change.after)
        for change in lapses_and_beginnings(timeline, catalog, instants[0], instants[-1])
    ]
    assert [change[0] for change in told] == sorted(change[0] for change in told)
    assert sorted(told, key=_order) == sorted(expected, key=_order)
    for at in instants:
        later = [change[0] for change in expected if change[0] > at]
        assert next_change_at(timeline, catalog, at) == min(later, default=FOREVER)


def _order(change: tuple[Any, ...]) -> tuple[Instant, str]:
    scope: Scope = change[1]
    return change[0], str(scope)


def instants_that_matter(timeline: PermissionTimeline, catalog: Catalog) -> set[Instant]:
    """Every instant at which an answer may change, and the microsecond before it."""
    changing: set[Instant] = set()
    for scope, segments in timeline.segments.items():
        changing.update(instant for segment in segments for instant in segment[:2])
        suspension = catalog.suspension_of(scope)
        changing.update(suspension or ())
    for restriction in timeline.restrictions:
        changing.update((restriction.start, restriction.end))
    finite = changing - {BEGINNING, FOREVER}
    return finite | {instant - 1 for instant in finite}


def states_after_each_step(scenario: dict[str, Any]) -> Iterator[Known]:
    """What was known of each customer after every few steps, and after the last."""
    system = system_of(scenario)
    for step in {*range(0, system.step_count, 5), system.step_count}:
        for customer in CUSTOMERS:
            yield system.known(customer, step)


def pairs_of_states(scenario: dict[str, Any]) -> Iterator[tuple[Known, Known]]:
    """What was known of each customer before and after a step, or several."""
    system = system_of(scenario)
    for before, after in pairwise(range(0, system.step_count, 3)):
        for customer in CUSTOMERS:
            yield system.known(customer, before), system.known(customer, after)


def last_states(scenario: dict[str, Any]) -> Sequence[Known]:
    """What is known of each customer in the end."""
    system = system_of(scenario)
    return [system.known(customer) for customer in CUSTOMERS]


def system_of(scenario: dict[str, Any]) -> DecisionSystem:
    """A system to which the scenario's steps were applied, refused ones left out."""
    system = DecisionSystem()
    for step in scenario["steps"]:
        try:
            system.apply(step)
        except MayweError:
            continue
    return system
