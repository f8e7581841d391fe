"""Files that can not be opened for a while, though nothing about them changes."""

import contextlib
import resource
from collections.abc import Iterator
from typing import Final

_STANDARD_STREAMS: Final = 3


@contextlib.contextmanager
def nothing_can_be_opened() -> Iterator[None]:
    """Have every attempt of this process to open a file fail (EMFILE), for whomever it is run."""
    usual, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_STANDARD_STREAMS, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, hard))
