"""Files that somebody else replaces while we run: keys, certificates, lists.

What lives here: telling that a file is another than before, and reading it again then. What is read
from it is each user's.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeAlias, TypeVar

RETRY_SECONDS: Final = 5.0
"""How long a file that could not be read, and has not changed since, is left alone."""

Look: TypeAlias = tuple[tuple[int, int, int, int] | None, ...]
"""What files looked like: alike means, for all practical purposes, that they are the same."""

Content = TypeVar("Content")

_logger = logging.getLogger(__name__)


def look_at(paths: Sequence[Path]) -> Look:
    """Look at files, those that are not there among them; links are followed."""
    return tuple(_look_at(path) for path in paths)


def _look_at(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    # The last one is of owners and permissions too: who may read the file now could not before.
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class WatchedFile(Generic[Content]):
    """A file that is read anew once it has changed. For one thread at a time.

    Only what was read well counts as seen: what failed is tried again, at once when the file
    changes and every RETRY_SECONDS otherwise, and told again when it fails otherwise than before.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], Content],
        failures: tuple[type[Exception], ...],
        meanwhile: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Have `path` read by `read`, which may raise `failures`; `clock` gives seconds.

        What holds after a failure, `meanwhile`, is logged with it.
        """
        self._path = path
        self._read = read
        self._failures = failures
        self._meanwhile = meanwhile
        self._clock = clock
        self._seen: Look = ()
        self._failed: Look = ()
        self._retry_at = 0.0
        self._problem = ""

    def content(self) -> Content:
        """Read the file, whatever was read before. Raises what `read` raises."""
        return self._take(look_at([self._path]))

    def new_content(self) -> Content | None:
        """Give what the file holds if it has changed; None if not, or if it can not be read."""
        look = look_at([self._path])
        if look == self._seen:
            self._failed, self._problem = (), ""
            return None
        if look == self._failed and self._clock() < self._retry_at:
            return None
        try:
            return self._take(look)
        except self._failures as error:
            self._failed = look
            self._retry_at = self._clock() + RETRY_SECONDS
            problem = _text_of(error)
            if problem != self._problem:
                _logger.error("%s; %s", problem, self._meanwhile)  # noqa: TRY400 - no trace, a file is faulty
            self._problem = problem
            return None

    def _take(self, look: Look) -> Content:
        content = self._read(self._path)
        self._seen, self._failed, self._problem = look, (), ""
        return content


def _text_of(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename} can not be read: {error.strerror}"
    return str(error)
