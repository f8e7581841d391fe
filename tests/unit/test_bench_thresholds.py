"""Judging figures by `thresholds.json`."""

import math

import pytest

from loadtests.thresholds import Judgement, Threshold, judge, read_thresholds

HIGHER = Threshold("rate", is_higher_better=True, must=10.0, aim=20.0)
LOWER = Threshold("latency", is_higher_better=False, must=10.0, aim=5.0)
REPORTED = Threshold("reported", is_higher_better=True, must=None, aim=30.0)


def judged(threshold: Threshold, value: object) -> Judgement:
    """Judge one value."""
    [judgement] = judge({threshold.key: value}, [threshold])
    return judgement


@pytest.mark.parametrize(
    ("threshold", "value", "met"),
    [
        (HIGHER, 9.99, ""),
        (HIGHER, 10, "must"),
        (HIGHER, 20.0, "must aim"),
        (LOWER, 10.01, ""),
        (LOWER, 10.0, "must"),
        (LOWER, 5, "must aim"),
        (REPORTED, 0.1, "must"),
        (REPORTED, 30.0, "must aim"),
    ],
)
def test_a_bound_is_met_from_its_good_side(threshold: Threshold, value: float, met: str) -> None:
    """A figure at its bound, or on the good side of it, meets it; without a bound any does."""
    judgement = judged(threshold, value)
    assert judgement.is_must_met == ("must" in met)
    assert judgement.is_aim_met == ("aim" in met)


@pytest.mark.parametrize("value", [None, "12", True, math.nan, math.inf, [12]])
@pytest.mark.parametrize("threshold", [HIGHER, LOWER, REPORTED])
def test_what_is_no_number_counts_as_missed(threshold: Threshold, value: object) -> None:
    """A figure that is no finite number meets neither bound, nor "reported"."""
    judgement = judged(threshold, value)
    assert not judgement.is_must_met
    assert not judgement.is_aim_met


def test_a_missing_figure_counts_as_missed() -> None:
    """A key that was not measured is judged, and missed."""
    [judgement] = judge({}, [REPORTED])
    assert judgement.value is None
    assert not judgement.is_must_met


def test_every_aim_is_at_least_as_good_as_its_must() -> None:
    """What meets an aim meets the must beside it."""
    for threshold in read_thresholds():
        if threshold.aim is not None and threshold.must is not None:
            assert threshold.is_reached(threshold.must, threshold.aim), threshold.key
