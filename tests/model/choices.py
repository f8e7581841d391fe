"""Where the scenario generators get their choices from.

What lives here: the one operation that a source of choices offers, and what follows from
it. What must not: anything about consents. One generator thus serves both the plain
seeded runs and Hypothesis, which shrinks towards the choice 0.
"""

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Choices(Protocol):
    """A source of choices."""

    def below(self, count: int) -> int:
        """A whole number from 0 to count - 1; count is at least 1."""
        ...


class SeededChoices:
    """Choices from a seed: fast, and the same on every run."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, count: int) -> int:
        """A whole number from 0 to count - 1, evenly distributed."""
        return self._random.randrange(count)


def pick(choices: Choices, items: Sequence[Item]) -> Item:
    """One of the items."""
    return items[choices.below(len(items))]


def chance(choices: Choices, percent: int) -> bool:
    """True about so many times in a hundred."""
    return choices.below(100) >= 100 - percent


def some(choices: Choices, items: Sequence[Item], count_max: int, count_min: int = 1) -> list[Item]:
    """So many distinct items, in any order; count_min may not exceed what there is."""
    left = list(items)
    count = count_min + choices.below(min(count_max, len(left)) - count_min + 1)
    return [left.pop(choices.below(len(left))) for _ in range(count)]


def weighted(choices: Choices, weights: dict[str, int]) -> str:
    """A name, each as often as its weight says."""
    number = choices.below(sum(weights.values()))
    for name, weight in weights.items():
        if number < weight:
            return name
        number -= weight
    raise AssertionError("the weights have been passed")
