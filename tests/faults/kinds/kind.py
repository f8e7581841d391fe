"""What a kind of fault is, and the scene in which it is played.

What lives here: the words that all kinds share.
"""

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from tests.faults.clients import Attention, Pace
from tests.faults.history import History
from tests.faults.sending import Restores
from tests.faults.system import System

PROCESS: Final = "process"
REDIS: Final = "redis"
POSTGRESQL: Final = "postgresql"
CONTROL: Final = "control"
CLIENTS: Final = "clients"
TIME: Final = "time"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault may touch, and where it tells of it."""

    system: System
    history: History
    restores: Restores
    attention: Attention
    pace: Pace
    chance: random.Random


@dataclass(slots=True)
class Occurrence:
    """How an injection went: whom it hit, and whether its moment came."""

    detail: str = ""
    was_injected: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. `area` is what it touches: two of one area are never injected together."""

    name: str
    area: str
    hold_seconds: tuple[float, float]
    fault: Callable[[Scene], AbstractContextManager[Occurrence]]


def wait_seconds(seconds: float) -> None:
    """Let time pass in the middle of a fault: it is time that the fault consists of."""
    time.sleep(seconds)
