"""Faults of order and time: late fills and renewals, repeated and reordered batches, wrong clocks.

What lives here: those that a process of the campaign plays on itself, through failpoints and
meddling.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.faults.kinds.kind import TIME, Kind, Occurrence, Scene, wait_seconds
from tests.faults.kinds.of_processes import projecting

LATE_SECONDS: Final = (1.0, 3.0)
FILL_DELAY_SECONDS: Final = (0.05, 1.0)
RENEWAL_DELAY_SECONDS: Final = (0.1, 1.9)
EMPTYINGS: Final = 4
EMPTYING_SHARE: Final = 0.7
"""Of the delay, so that a fill is under way when Redis is emptied again."""

CLOCK_SECONDS: Final = (-86_400.0, -3600.0, -10.0, -1.0, 1.0, 10.0, 3600.0, 86_400.0)

FILL: Final = "before a fill"
RENEWALS: Final = ("between the lease and its floors", "between reading floors and taking them")


@contextmanager
def fills_late_after_emptying(scene: Scene) -> Iterator[Occurrence]:
    """Empty Redis again and again, while what is read from PostgreSQL arrives there late.

    So a fill that was read in one life of the cache arrives in the next.
    """
    delay_seconds = scene.chance.uniform(*FILL_DELAY_SECONDS)
    occurrence = Occurrence(f"by {delay_seconds:.2f} s")
    with _delayed(FILL, delay_seconds, scene, occurrence):
        for _ in range(EMPTYINGS):
            if not scene.system.redis_nodes[0].empty():
                break
            wait_seconds(delay_seconds * EMPTYING_SHARE)
        yield occurrence


@contextmanager
def renewals_late(scene: Scene) -> Iterator[Occurrence]:
    """Let time pass in the middle of renewals, in which others commit."""
    delay_seconds = scene.chance.uniform(*RENEWAL_DELAY_SECONDS)
    place = scene.chance.choice(RENEWALS)
    occurrence = Occurrence(f"{place}, by {delay_seconds:.2f} s")
    with _delayed(place, delay_seconds, scene, occurrence):
        yield occurrence


@contextmanager
def batches_repeated(scene: Scene) -> Iterator[Occurrence]:
    """Let projectors send batches twice, late, and with a gap before them."""
    processes = projecting(scene)
    for process in processes:
        process.meddle_with_batches(is_on=True)
    yield Occurrence()
    for process in processes:
        process.meddle_with_batches(is_on=False)


@contextmanager
def clock_wrong(scene: Scene) -> Iterator[Occurrence]:
    """Let the wall clock of one process jump, and later jump back."""
    process = scene.chance.choice(list(scene.system.processes.values()))
    seconds = scene.chance.choice(CLOCK_SECONDS)
    process.set_clock(seconds)
    yield Occurrence(f"{process.name} by {seconds:g} s")
    process.set_clock(0.0)


@contextmanager
def _delayed(
    place: str, delay_seconds: float, scene: Scene, occurrence: Occurrence
) -> Iterator[None]:
    """Delay every decision server at a failpoint, and note whether any has reached it."""
    servers = scene.system.of_role("decision")
    for server in servers:
        server.arm(place, f"{delay_seconds:.3f}")
    yield
    for server in servers:
        server.disarm(place)
    occurrence.was_injected = any(server.has_reached(place) for server in servers)


KINDS: Final = (
    Kind("fills late after Redis was emptied", TIME, LATE_SECONDS, fills_late_after_emptying),
    Kind("renewals late", TIME, LATE_SECONDS, renewals_late),
    Kind("batches repeated and reordered", TIME, LATE_SECONDS, batches_repeated),
    Kind("clock wrong", TIME, LATE_SECONDS, clock_wrong),
)
