"""Partings: scopes in parts, each of which fares alike.

What lives here: the value by which whatever is worked out for many people says once which of their
scopes go together. People repeat few combinations of wordings, so what follows from a parting alone
is worth keeping: there is one object for each, and it can be a key.
"""

from collections.abc import Iterable
from typing import Final

from decision.scopes import Scope

PARTINGS_KEPT_MAX: Final = 4096
"""Partings that there is one object of at a time; a catalog has few, and people repeat them."""


class Parting:
    """Scopes in parts, none of which is in two of them. Made by `parting_of`; compared by `is`."""

    __slots__ = ("parts", "places")

    def __init__(self, parts: tuple[tuple[Scope, ...], ...]) -> None:
        """Take the parts; `places` tells of each scope in which it is."""
        self.parts = parts
        self.places = {scope: place for place, part in enumerate(parts) for scope in part}


_partings: dict[tuple[tuple[Scope, ...], ...], Parting] = {}


def parting_of(parts: Iterable[Iterable[Scope]]) -> Parting:
    """Give the parting of scopes into these parts, mostly the same object for the same parts."""
    key = tuple(map(tuple, parts))
    found = _partings.get(key)
    if found is None:
        if len(_partings) >= PARTINGS_KEPT_MAX:
            _partings.clear()
        found = _partings[key] = Parting(key)
    return found
