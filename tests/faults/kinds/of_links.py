"""Faults between the parts: links cut, stalled and delayed.

What lives here: one kind for each pair of parts and each way in which a link can break.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from tests.faults.kinds.kind import (
    CLIENTS,
    CONTROL,
    POSTGRESQL,
    REDIS,
    Kind,
    Occurrence,
    Scene,
)
from tests.faults.proxies import Links

BROKEN_SECONDS: Final = (0.5, 3.5)
DELAY_MILLISECONDS: Final = (10, 400)
ALL_SHARE: Final = 0.3
"""How often every link of a kind is broken and not just one."""

Break = Callable[[Links, str, Scene], str]


def _cut(links: Links, link: str, _scene: Scene) -> str:
    links.cut(link)
    return ""


def _stall(links: Links, link: str, _scene: Scene) -> str:
    links.stall(link)
    return ""


def _delay(links: Links, link: str, scene: Scene) -> str:
    milliseconds = scene.chance.randint(*DELAY_MILLISECONDS)
    links.delay(link, milliseconds)
    return f" by {milliseconds} ms"


@contextmanager
def broken(area: str, break_link: Break, scene: Scene) -> Iterator[Occurrence]:
    """Break one link of an area, or all of them."""
    links = scene.system.links
    concerned = [name for name in links.names if _AREA_OF[_what(name)] == area]
    if scene.chance.random() >= ALL_SHARE:
        concerned = [scene.chance.choice(concerned)]
    details = [f"{link}{break_link(links, link, scene)}" for link in concerned]
    yield Occurrence(", ".join(details))
    for link in concerned:
        links.heal(link)


def _what(link: str) -> str:
    """Give what a link is about: where it leads, or from whom it comes."""
    source, _, target = link.partition(" > ")
    return target if target in _AREA_OF else source


_AREA_OF: Final = {
    "postgresql": POSTGRESQL,
    "redis": REDIS,
    "writers": CONTROL,
    "clients": CLIENTS,
    # A replica that does not hear its master is a fault only once it is promoted.
    "replica": "",
}
_NAMES: Final = {
    POSTGRESQL: "link to PostgreSQL",
    REDIS: "link to Redis",
    CONTROL: "link between writers and decision servers",
    CLIENTS: "link between clients and servers",
}
_BREAKS: Final[dict[str, Break]] = {"cut": _cut, "stalled": _stall, "delayed": _delay}

KINDS: Final = tuple(
    Kind(f"{name} {how}", area, BROKEN_SECONDS, partial(broken, area, break_link))
    for area, name in _NAMES.items()
    for how, break_link in _BREAKS.items()
)
