"""The plan of a campaign: every kind has its turn, and two that disturb each other never meet."""

import random
from collections import Counter
from contextlib import nullcontext

from tests.faults.kinds.kind import Kind, Occurrence
from tests.faults.planning import Plan

KINDS = [
    Kind(f"kind {number}", f"area {number % 3}", (0.0, 1.0), lambda _: nullcontext(Occurrence()))
    for number in range(12)
]


def test_every_kind_has_its_turn_before_any_has_another() -> None:
    """A campaign that is long enough has injected every kind."""
    plan = Plan(KINDS, random.Random(1))
    counts: Counter[str] = Counter()
    while counts.total() < len(KINDS):
        counts.update(kind.name for kind in plan.next_round().kinds)
    assert counts.keys() == {kind.name for kind in KINDS}


def test_two_kinds_of_one_area_never_meet() -> None:
    """Whoever restores a database must not find it paused."""
    plan = Plan(KINDS, random.Random(1))
    for _ in range(200):
        areas = [kind.area for kind in plan.next_round().kinds]
        assert len(areas) == len(set(areas))


def test_a_single_kind_is_played_alone() -> None:
    """Where there is nothing to pair it with, nothing is paired."""
    plan = Plan(KINDS[:1], random.Random(1))
    assert [plan.next_round().kinds for _ in range(20)] == [KINDS[:1]] * 20


def test_a_kind_whose_moment_did_not_come_comes_again_soon() -> None:
    """It counts as not injected, so it is tried again, and not for ever."""
    plan = Plan(KINDS, random.Random(1))
    missed = plan.next_round().kinds[0]
    plan.take_back(missed)
    drawn = [kind.name for _ in range(5) for kind in plan.next_round().kinds]
    assert missed.name in drawn
