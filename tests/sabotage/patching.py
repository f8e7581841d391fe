"""Putting something else in the place of a function of the product, and taking it away again.

What lives here: finding a place by its name and wrapping what is there. The product is imported
only when a patch is applied, so that a table of patches can be read before a clock is installed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Any, NamedTuple

Wrap = Callable[[Any], Any]
"""Gives what stands in the place of something, which it is handed."""


class Patch(NamedTuple):
    """What is wrapped: `place` is `module:name` or `module:Class.name`."""

    place: str
    wrap: Wrap

    def apply(self) -> Callable[[], None]:
        """Put the patch in place and give what takes it away.

        Raises AttributeError or ImportError when the product has no such place.
        """
        module, _, path = self.place.partition(":")
        outer, _, name = path.rpartition(".")
        owner = resolve_name(f"{module}:{outer}")
        original = getattr(owner, name)
        setattr(owner, name, self.wrap(original))
        return lambda: setattr(owner, name, original)


@contextmanager
def patched(patches: Sequence[Patch]) -> Iterator[None]:
    """Apply patches in order, and take them away in the other."""
    undo: list[Callable[[], None]] = []
    try:
        for patch in patches:
            undo.append(patch.apply())  # noqa: PERF401 - if one fails, those before are undone
        yield
    finally:
        for take_away in reversed(undo):
            take_away()


def always(place: str, value: object) -> tuple[Patch]:
    """Patch a function so that it gives one value, whatever it is asked."""
    return (Patch(place, lambda _: lambda *_, **__: value),)


def wrapped(place: str, wrap: Wrap) -> tuple[Patch]:
    """Patch one place."""
    return (Patch(place, wrap),)
