"""The lock on a data directory, which outlives us as long as a server of ours lives.

Here lives the lock only. It is an flock on an open file whose descriptor every server process
inherits: whoever gets the lock knows that no server runs on the directory, even after its owner was
killed and its servers are still ending.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.embedded.errors import DataDirectoryInUseError

LOCK_NAME: Final = "lock"
"""The lock's file in a data directory; its presence also marks the directory as ours."""

ORPHANS_TIMEOUT_SECONDS: Final = 30.0
"""How long servers whose owner is gone may take to end before we give up waiting for them."""

_POLL_SECONDS: Final = 0.05
_PROCESS_ID_BYTES_MAX: Final = 32


@contextmanager
def held_lock(path: Path) -> Iterator[int]:
    """Hold the lock on the file `path`, making it if need be; gives its descriptor.

    The lock is let go by closing, never by unlocking, as that would unlock it for the servers too.

    Raises:
        DataDirectoryInUseError: if a living process holds it, or servers of a dead one do for
            longer than `ORPHANS_TIMEOUT_SECONDS`.

    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        try:
            yield descriptor
        finally:
            # From here on the owner is gone, whether or not this process lives on.
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + ORPHANS_TIMEOUT_SECONDS
    while not _try_lock(descriptor):
        owner = os.pread(descriptor, _PROCESS_ID_BYTES_MAX, 0).decode("ascii", "replace").strip()
        if _is_alive(owner):
            raise DataDirectoryInUseError(
                f"the data directory {path.parent} is in use by process {owner}: "
                "use its servers by --postgres-url and --redis-url, which it logged when it "
                "started, or stop it, or choose another data directory"
            )
        if time.monotonic() >= deadline:
            raise DataDirectoryInUseError(
                f"servers that process {owner or '(unknown)'} left behind still run on the data "
                f"directory {path.parent}: end them by hand (`fuser {path}` names them)"
            )
        time.sleep(_POLL_SECONDS)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(process_id: str) -> bool:
    """Whether there is such a process; none if the owner has not written its number yet."""
    if not process_id.isdecimal():
        return False
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
