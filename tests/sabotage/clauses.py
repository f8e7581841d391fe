"""The table of all that can be switched off, by what is wrong then.

What lives here: the table as a whole, and switching off by name, for a while or for good.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from tests.sabotage import acknowledging, checking, filling, renewing
from tests.sabotage.patching import Patch, patched

CLAUSES: Final[Mapping[str, Sequence[Patch]]] = {
    **checking.CLAUSES,
    **renewing.CLAUSES,
    **filling.CLAUSES,
    **acknowledging.CLAUSES,
}
"""For each name what is patched. A name has no comma, as campaigns take them parted by commas."""


@contextmanager
def switched_off(names: Iterable[str]) -> Iterator[None]:
    """Switch off what is named, for a while. Raises KeyError for what is not in the table."""
    with patched([patch for name in names for patch in CLAUSES[name]]):
        yield


def install(names: Iterable[str]) -> None:
    """Switch off what is named, for good. Raises KeyError for what is not in the table."""
    for name in names:
        for patch in CLAUSES[name]:
            patch.apply()
