"""The arithmetic of the bench."""

import pytest

from loadtests.figures import Pair, in_turn, percentile, ratios, undisturbed


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.0, 1)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    """The percentile is the smallest value that so large a share does not exceed."""
    assert percentile(range(1, 101), share) == expected


def test_two_things_take_turns_in_going_first() -> None:
    """Each goes first in every other pair, and pairs keep which is which."""
    order: list[str] = []

    def measure(name: str) -> str:
        order.append(name)
        return name

    pairs = in_turn(lambda: measure("a"), lambda: measure("b"), 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert pairs == [("a", "b")] * 3


def test_the_median_of_the_ratios_counts() -> None:
    """The ratio is taken within each pair, and one pair that went wrong does not count."""
    pairs = [Pair(1.0, 2.0), Pair(4.0, 2.0), Pair(100.0, 1.0)]
    assert ratios(pairs).median == 2.0


def test_disturbed_pairs_are_measured_again_and_counted() -> None:
    """A pair that says nothing is replaced, and how many there were is told."""
    measured = iter([Pair(1, 9), Pair(1, 2), Pair(9, 9), Pair(3, 2)])
    found = undisturbed(lambda: next(measured), lambda pair: pair.second == 9, 2)
    assert found == ([Pair(1, 2), Pair(3, 2)], 2)


def test_measuring_again_ends() -> None:
    """On a machine that disturbs every pair, twice as many are tried and no more."""
    assert undisturbed(lambda: Pair(1, 1), lambda _: True, 5) == ([], 10)
