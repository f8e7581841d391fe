"""Faults of maywe's own processes: killed anywhere, killed at a failpoint, paused.

What lives here: those that hit one process; it runs again when the fault has healed.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final

from tests.faults import failpoints
from tests.faults.failpoints import PLACES, PROJECTING
from tests.faults.kinds.kind import PROCESS, Kind, Occurrence, Scene, wait_seconds
from tests.faults.processes import MayweProcess

KILLED_SECONDS: Final = (0.1, 2.0)
REACHING_SECONDS: Final = (2.0, 3.0)
DYING_SECONDS: Final = 0.05
PAUSED_SECONDS: Final = (2.6, 4.0)
"""Beyond the lease, which is the point."""

ROLES: Final = {"writer": "a writer", "decision": "a decision server", "worker": "the worker"}


@contextmanager
def killed(role: str, scene: Scene) -> Iterator[Occurrence]:
    """Kill a process; started again at the end."""
    process = scene.chance.choice(scene.system.of_role(role))
    process.child.kill()
    yield Occurrence(process.name)
    _start(process)


@contextmanager
def killed_at(place: str, scene: Scene) -> Iterator[Occurrence]:
    """Have the next one that passes a failpoint die there; started again at the end."""
    process = scene.chance.choice(_who_passes(place, scene))
    occurrence = Occurrence(process.name)
    process.arm(place, failpoints.KILL)
    yield occurrence
    process.disarm(place)
    # Whoever has read the order by now is dead a moment later.
    wait_seconds(DYING_SECONDS)
    occurrence.was_injected = process.has_reached(place)
    if occurrence.was_injected:
        process.child.kill()
        _start(process)


@contextmanager
def paused(role: str, scene: Scene) -> Iterator[Occurrence]:
    """Stop a process from running for longer than a lease, then let it go on."""
    process = scene.chance.choice(scene.system.of_role(role))
    process.child.pause()
    yield Occurrence(process.name)
    process.child.resume()


def projecting(scene: Scene) -> list[MayweProcess]:
    """Give the processes that run the projector."""
    return [*scene.system.of_role("writer"), *scene.system.of_role("worker")]


def _who_passes(place: str, scene: Scene) -> list[MayweProcess]:
    role = PLACES[place].role
    return projecting(scene) if role == PROJECTING else scene.system.of_role(role)


def _kind(
    name: str,
    hold_seconds: tuple[float, float],
    fault: Callable[[Scene], AbstractContextManager[Occurrence]],
) -> Kind:
    return Kind(name, PROCESS, hold_seconds, fault)


def _start(process: MayweProcess) -> None:
    process.start()
    process.wait_until_ready()


KINDS: Final = (
    *(
        _kind(f"{name} killed", KILLED_SECONDS, partial(killed, role))
        for role, name in ROLES.items()
    ),
    *(
        _kind(f"{name} paused", PAUSED_SECONDS, partial(paused, role))
        for role, name in ROLES.items()
    ),
    *(_kind(f"killed {place}", REACHING_SECONDS, partial(killed_at, place)) for place in PLACES),
)
