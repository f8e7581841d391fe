"""Which fault comes when: drawn at random, each kind before any comes twice.

What lives here: the plan only. It follows from the seed, but the moment at which a fault meets the
system does not: that depends on the machine.
"""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.faults.kinds.kind import PROCESS, Kind

PAIR_SHARE: Final = 0.4
CALM_SHARE: Final = 0.5
CALM_SECONDS: Final = (4.2, 5.5)
"""Longer than what the judge gives the system to settle, so that something is left to judge."""

GAP_SECONDS: Final = (0.2, 1.0)


MISSES_MAX: Final = 3
KINDS_BETWEEN_MISSES: Final = 4


class Round(NamedTuple):
    """One or two kinds that are injected together, for how long, and the rest afterwards."""

    kinds: Sequence[Kind]
    hold_seconds: float
    rest_seconds: float


class Plan:
    """Rounds without end."""

    def __init__(self, kinds: Sequence[Kind], chance: random.Random) -> None:
        """Draw from `kinds`."""
        self._kinds = kinds
        self._chance = chance
        self._deck: list[Kind] = []
        self._misses: Counter[str] = Counter()

    def next_round(self) -> Round:
        """Draw the next round."""
        drawn = [self._draw(set())]
        has_others = any(kind.area != drawn[0].area for kind in self._kinds)
        if has_others and self._chance.random() < PAIR_SHARE:
            drawn.append(self._draw({drawn[0].area}))
        # Healed in reverse order: a process that is started again needs its stores.
        drawn.sort(key=lambda kind: kind.area != PROCESS)
        is_calm = self._chance.random() < CALM_SHARE
        return self.together(drawn, CALM_SECONDS if is_calm else GAP_SECONDS)

    def together(
        self, kinds: Sequence[Kind], rest_seconds: tuple[float, float] = GAP_SECONDS
    ) -> Round:
        """Plan kinds for the same round, held for as long as the longest."""
        hold_seconds = max(self._chance.uniform(*kind.hold_seconds) for kind in kinds)
        return Round(kinds, hold_seconds, self._chance.uniform(*rest_seconds))

    def take_back(self, kind: Kind) -> None:
        """Put a kind whose moment did not come under the next ones, not for ever."""
        if self._misses[kind.name] < MISSES_MAX and kind not in self._deck:
            self._misses[kind.name] += 1
            self._deck.insert(min(KINDS_BETWEEN_MISSES, len(self._deck)), kind)

    def _draw(self, areas_taken: set[str]) -> Kind:
        """Draw the next kind in the deck of an area that is not taken."""
        while True:
            for place, kind in enumerate(self._deck):
                if kind.area not in areas_taken:
                    return self._deck.pop(place)
            fresh = [kind for kind in self._kinds if kind not in self._deck]
            self._chance.shuffle(fresh)
            self._deck += fresh
