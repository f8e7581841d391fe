"""The course of a campaign: how long, how fast, which faults, and what is switched off.

What lives here: the choices, each with what an ordinary campaign does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.faults.kinds.kind import Kind

QUIET_SHARE: Final = 0.15
QUIET_SECONDS: Final = (4.0, 15.0)
PUBLICATION_SECONDS: Final = (3.0, 7.0)
STEP_SECONDS: Final = 0.12


@dataclass(frozen=True, slots=True)
class Course:
    """What a campaign does.

    Faults are drawn from all kinds; or those of a `schedule` come together, again and again.
    `step_seconds` is how long a customer rests between two writes, and `publication_seconds` the
    catalog, from the shortest to the longest. `sabotages` are names of
    `tests.sabotage`, by commas. With `ends_when_stale` it ends with the first stale ALLOW.
    """

    seconds: float
    seed: int
    quiet_seconds: float | None = None
    step_seconds: float = STEP_SECONDS
    publication_seconds: tuple[float, float] = PUBLICATION_SECONDS
    schedule: Sequence[Kind] = ()
    sabotages: str = ""
    ends_when_stale: bool = False

    @property
    def quiet(self) -> float:
        """How long nothing is broken at the beginning, in seconds."""
        if self.quiet_seconds is not None:
            return self.quiet_seconds
        shortest, longest = QUIET_SECONDS
        return min(max(self.seconds * QUIET_SHARE, shortest), longest)
