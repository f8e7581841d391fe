"""Every clause is needed: with it nothing stale is allowed, and without it the judge finds it."""

from typing import Final

import pytest

from tests.sabotage.clauses import CLAUSES, switched_off
from tests.schedules import (
    acknowledging_schedules,
    checking_schedules,
    filling_schedules,
    renewing_schedules,
)
from tests.schedules.ground import Ground
from tests.schedules.schedule import Play
from tests.schedules.world import new_world

pytestmark = pytest.mark.integration

SCHEDULES: Final = {
    **checking_schedules.SCHEDULES,
    **renewing_schedules.SCHEDULES,
    **filling_schedules.SCHEDULES,
    **acknowledging_schedules.SCHEDULES,
}
SPARE: Final = renewing_schedules.SPARE


EACH: Final = [
    pytest.param(clause, play, id=f"{clause}: {play.__name__}")
    for clause, plays in SCHEDULES.items()
    for play in plays
]


def _stale_allows(ground: Ground, play: Play, *without: str) -> list[str]:
    """Play a schedule in a new world, without some clauses, and give what the judge finds."""
    with switched_off(without), new_world(ground) as world:
        play(world)
        return world.stale_allows()


def test_every_clause_has_a_schedule() -> None:
    """Nothing can be switched off of which nobody shows what comes of it."""
    assert CLAUSES.keys() == SCHEDULES.keys() | SPARE.keys()


@pytest.mark.parametrize(("clause", "play"), EACH)
def test_without_the_clause_something_stale_is_allowed(
    ground: Ground, clause: str, play: Play
) -> None:
    """And with it nothing is, in the same schedule."""
    assert _stale_allows(ground, play) == []
    assert _stale_allows(ground, play, clause) != []


@pytest.mark.parametrize(("clause", "beside", "play"), [(one, *SPARE[one]) for one in SPARE])
def test_a_spare_clause_is_missed_only_beside_another(
    ground: Ground, clause: str, beside: str, play: Play
) -> None:
    """What it keeps from happening, another clause keeps from happening too."""
    for without in ((), (clause,), (beside,)):
        assert _stale_allows(ground, play, *without) == []
    assert _stale_allows(ground, play, clause, beside) != []
