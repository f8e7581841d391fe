"""A short campaign on real processes, as part of every test run; `make faults` runs long ones."""

import random
import shutil
from typing import Final

import pytest

from tests.faults.campaign import run_campaign
from tests.faults.course import Course
from tests.faults.judging import judge
from tests.faults.reporting import is_good, lines_of

SECONDS: Final = 25.0
SEEDS: Final = 2**32

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.timeout(300)
def test_a_short_campaign_finds_nothing() -> None:
    """Whatever breaks, no ALLOW is stale, and in calm no DENY is wrong and nothing unavailable."""
    lines: list[str] = []
    course = Course(SECONDS, random.SystemRandom().randrange(SEEDS))
    outcome = run_campaign(course, lines.append)
    judgement = judge(outcome.history.records)
    assert is_good(judgement), "\n".join([*lines, *lines_of(judgement)])
    shutil.rmtree(outcome.directory)
