"""The campaign can fail: on real processes too, the absence of a clause shows as a stale ALLOW.

What lives here: some clauses, under faults that bring their absence out soon. Every clause has its
turn in `tests.schedules`; any can be switched off in a campaign, by `--sabotage`.
"""

import shutil
from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from tests.faults.campaign import run_campaign
from tests.faults.course import Course
from tests.faults.judging import Fault, judge
from tests.faults.kinds import directed
from tests.faults.kinds.kind import Kind
from tests.faults.reporting import lines_of

SECONDS_MAX: Final = 60.0
"""A bound for clauses whose absence shows only when the moment is right."""

QUIET_SECONDS: Final = 0.5
STEP_SECONDS: Final = 0.05

SCHEDULES: Final[Mapping[str, Sequence[Kind]]] = {
    "floors of customers are not heeded": (directed.CACHE_FROZEN,),
    "a lease is held too long": (directed.CUT_OFF, directed.CACHE_FROZEN),
    "nobody is told": (directed.CACHE_FROZEN,),
}
"""One clause each of the allow rule, of renewal and of acknowledgement."""

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("clause", SCHEDULES)
def test_the_absence_of_a_clause_is_found(clause: str) -> None:
    """With a clause switched off the campaign finds a stale ALLOW."""
    course = Course(
        SECONDS_MAX,
        seed=1,
        quiet_seconds=QUIET_SECONDS,
        step_seconds=STEP_SECONDS,
        schedule=SCHEDULES[clause],
        sabotages=clause,
        ends_when_stale=True,
    )
    lines: list[str] = []
    outcome = run_campaign(course, lines.append)
    judgement = judge(outcome.history.records)
    shutil.rmtree(outcome.directory)
    assert judgement.count(Fault.STALE_ALLOW), "\n".join([*lines, *lines_of(judgement)])
