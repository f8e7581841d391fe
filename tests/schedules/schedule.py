"""What a schedule is."""

from collections.abc import Callable
from typing import TypeAlias

from tests.schedules.world import World

Play: TypeAlias = Callable[[World], None]
"""Plays a schedule in a new world. Its last checks are those in question."""
