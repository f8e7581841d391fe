"""Files that somebody else replaces while we run: keys, certificates, lists.

What lives here: telling that a file is another than before. What is read from it is each user's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

Look: TypeAlias = tuple[tuple[int, int, int] | None, ...]
"""What files looked like: alike means, for all practical purposes, that they are the same."""


def look_at(paths: Sequence[Path]) -> Look:
    """Look at files, those that are not there among them; links are followed."""
    return tuple(_look_at(path) for path in paths)


def _look_at(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
