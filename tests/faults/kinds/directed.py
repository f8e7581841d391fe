"""Faults for directed schedules: together with one clause switched off they make a stale ALLOW.

What lives here: what a campaign at random would take long to bring about.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tests.faults.kinds.kind import PROCESS, REDIS, Kind, Occurrence, Scene
from tests.faults.kinds.of_processes import projecting

FROZEN_SECONDS: Final = (2.0, 3.0)
CUT_OFF_SECONDS: Final = (4.5, 5.0)
"""Beyond a lease and its margin, and some more in which to be asked."""


@contextmanager
def cache_frozen(scene: Scene) -> Iterator[Occurrence]:
    """Let projectors not reach Redis, so that it shows what was before."""
    concerned = {f"{process.name} > redis" for process in projecting(scene)}
    with _cut(scene, lambda link: link in concerned):
        yield Occurrence()


@contextmanager
def cut_off(scene: Scene) -> Iterator[Occurrence]:
    """Let decision servers reach Redis only, and nobody reach them but clients."""
    with _cut(
        scene,
        lambda link: (
            link.startswith("writers > ")
            or (link.startswith("decision-") and link.endswith("postgresql"))
        ),
    ):
        yield Occurrence()


@contextmanager
def _cut(scene: Scene, is_concerned: Callable[[str], bool]) -> Iterator[None]:
    links = scene.system.links
    concerned = [link for link in links.names if is_concerned(link)]
    for link in concerned:
        links.cut(link)
    yield
    for link in concerned:
        links.heal(link)


CACHE_FROZEN: Final = Kind("cache frozen", REDIS, FROZEN_SECONDS, cache_frozen)
CUT_OFF: Final = Kind("decision servers cut off", PROCESS, CUT_OFF_SECONDS, cut_off)
