"""Figures: percentiles, and two things measured in turn.

What lives here: arithmetic on what was measured, nothing that measures.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

PAIRS: Final = 5
"""How often two things are measured in turn; the median of so many ratios counts."""

DIGITS: Final = 4
"""Significant digits that are reported."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the value that a share of the ordered values does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rounded(value: float) -> float:
    """Give a value with as many digits as are worth reporting."""
    return float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True, slots=True)
class Ratios:
    """Ratios of two things that were measured in turn."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """What counts."""
        return statistics.median(self.values)

    def described(self) -> dict[str, Any]:
        """Give the median, and how far apart the pairs were."""
        return {
            "median": rounded(self.median),
            "lowest": rounded(min(self.values)),
            "highest": rounded(max(self.values)),
            "pairs": [rounded(value) for value in self.values],
        }


class Pair(NamedTuple):
    """What two things measured, one right after the other."""

    first: Any
    second: Any


def in_turn(first: Callable[[], Any], second: Callable[[], Any], pairs: int = PAIRS) -> list[Pair]:
    """Measure two things in turn, the second before the first every other time.

    So neither always comes right after a pause, and what drifts meanwhile meets both.
    """
    measured = []
    for number in range(pairs):
        if number % 2:
            second_value = second()
            measured.append(Pair(first(), second_value))
        else:
            first_value = first()
            measured.append(Pair(first_value, second()))
    return measured


def undisturbed(
    measure: Callable[[], Pair], is_disturbed: Callable[[Pair], bool], pairs: int
) -> tuple[list[Pair], int]:
    """Measure until there are so many pairs that say something; also give how many did not.

    Twice as many are tried at most, so there may be fewer in the end.
    """
    found: list[Pair] = []
    disturbed = 0
    while len(found) < pairs and len(found) + disturbed < 2 * pairs:
        pair = measure()
        if is_disturbed(pair):
            disturbed += 1
        else:
            found.append(pair)
    return found, disturbed


def ratios(pairs: Sequence[Pair], value: Callable[[Any], float] = float) -> Ratios:
    """Give the ratio of the first to the second of each pair, by some value of theirs."""
    return Ratios([value(pair.first) / value(pair.second) for pair in pairs])
