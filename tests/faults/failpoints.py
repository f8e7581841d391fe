"""Failpoints: named places between two steps of the product, at which a process can die or dawdle.

What lives here: the table of places, their installation in a process of the campaign, and the files
by which the campaign arms them. A place is a function of the product, wrapped before serving; the
product itself knows of none.
"""

import functools
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

KILL: Final = "kill"


@dataclass(frozen=True, slots=True)
class Place:
    """Before or after a function of a module; `function` may be `Class.method`."""

    module: str
    function: str
    is_before: bool
    role: str


WRITER: Final = "writer"
DECISION: Final = "decision"
PROJECTING: Final = "projecting"
"""Whoever runs the projector."""

PLACES: Final[Mapping[str, Place]] = {
    "before the commit": Place("store.writing", "move_shards", is_before=False, role=WRITER),
    "after the commit": Place("store.recording", "Recorder._tell", is_before=True, role=WRITER),
    "before telling anybody": Place(
        "service.effectuation", "Effectuator.make_effective", is_before=True, role=WRITER
    ),
    "between telling one and the other": Place(
        "service.control.client", "ControlClient.tell", is_before=False, role=WRITER
    ),
    "after telling, before answering": Place(
        "service.effectuation", "Effectuator.make_effective", is_before=False, role=WRITER
    ),
    "before the projection": Place("store.cache", "Cache.project", is_before=True, role=PROJECTING),
    "after the projection": Place("store.cache", "Cache.project", is_before=False, role=PROJECTING),
    "before a fill": Place("store.cache", "Cache.fill", is_before=True, role=DECISION),
    "before floors are raised": Place(
        "store.guard", "GuardKeeper.raise_floors", is_before=True, role=DECISION
    ),
    "after floors are raised": Place(
        "store.guard", "GuardKeeper.raise_floors", is_before=False, role=DECISION
    ),
    "between the lease and its floors": Place(
        "store.leases", "_read_standing", is_before=True, role=DECISION
    ),
    "between reading floors and taking them": Place(
        "store.leases", "read_now", is_before=False, role=DECISION
    ),
}
"""Every place, in the order of the write path."""


def install(directory: Path) -> None:
    """Wrap the function of every place; what is armed is read from files in `directory`."""
    for name, place in PLACES.items():
        owner, attribute = resolve(place)
        original = getattr(owner, attribute)
        setattr(owner, attribute, _wrapped(original, directory / name, is_before=place.is_before))


def resolve(place: Place) -> tuple[Any, str]:
    """Give the module or class that holds the function, and the function's name in it.

    Raises AttributeError or ImportError when the product has no such function.
    """
    owner: Any = import_module(place.module)
    *classes, attribute = place.function.split(".")
    for name in classes:
        owner = getattr(owner, name)
    getattr(owner, attribute)
    return owner, attribute


def _wrapped(function: Callable[..., Any], armed: Path, *, is_before: bool) -> Callable[..., Any]:
    @functools.wraps(function)
    def passing(*arguments: Any, **named: Any) -> Any:
        if is_before:
            _pass_by(armed)
        result = function(*arguments, **named)
        if not is_before:
            _pass_by(armed)
        return result

    return passing


def _pass_by(armed: Path) -> None:
    try:
        order = armed.read_text()
    except FileNotFoundError:
        return
    _reached(armed).touch()
    if order == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(order))


def _reached(armed: Path) -> Path:
    return armed.with_name(f"{armed.name}.reached")


def arm(directory: Path, name: str, order: str) -> None:
    """Have whoever passes the place next die (`KILL`), or wait so many seconds."""
    _reached(directory / name).unlink(missing_ok=True)
    # Under its final name there is never a part of an order.
    new = directory / f"{name}.new"
    new.write_text(order)
    new.rename(directory / name)


def disarm(directory: Path, name: str) -> None:
    """Let everybody pass."""
    (directory / name).unlink(missing_ok=True)


def was_reached(directory: Path, name: str) -> bool:
    """Tell whether somebody passed the place since it was armed."""
    return _reached(directory / name).exists()
