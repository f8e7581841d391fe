"""Figures against what they must be and what they aim at.

What lives here: the comparison, pure, and the reading of `thresholds.json`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

THRESHOLDS_PATH: Final = Path(__file__).with_name("thresholds.json")


@dataclass(frozen=True, slots=True)
class Threshold:
    """What one figure must be, and what it aims at; None where nothing is asked."""

    key: str
    is_higher_better: bool
    must: float | None
    aim: float | None

    def is_reached(self, bound: float | None, value: float | None) -> bool:
        """Tell whether a value is at the bound or on its good side.

        Without a bound any number will do. What is no number reaches nothing.
        """
        if value is None:
            return False
        if bound is None:
            return True
        return value >= bound if self.is_higher_better else value <= bound


@dataclass(frozen=True, slots=True)
class Judgement:
    """One figure as judged; `value` is None when it is missing or no number."""

    threshold: Threshold
    value: float | None

    @property
    def is_must_met(self) -> bool:
        """Whether the figure is there, and what it must be."""
        return self.threshold.is_reached(self.threshold.must, self.value)

    @property
    def is_aim_met(self) -> bool:
        """Whether the figure is there, and what it aims at."""
        return self.threshold.is_reached(self.threshold.aim, self.value)


def read_thresholds(path: Path = THRESHOLDS_PATH) -> list[Threshold]:
    """Read the thresholds, in their order. Raises ValueError for a direction that is none."""
    thresholds = []
    for key, entry in json.loads(path.read_text(encoding="utf-8")).items():
        if entry["better"] not in {"higher", "lower"}:
            message = f"{key}: better is higher or lower, not {entry['better']!r}"
            raise ValueError(message)
        thresholds.append(Threshold(key, entry["better"] == "higher", entry["must"], entry["aim"]))
    return thresholds


def judge(figures: Mapping[str, object], thresholds: Sequence[Threshold]) -> list[Judgement]:
    """Judge the figure of every threshold; a key that is missing is judged too."""
    return [Judgement(threshold, _number(figures.get(threshold.key))) for threshold in thresholds]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
