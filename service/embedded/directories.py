"""The data directory: where it is, whose it is, what is in it, and the private socket directory.

Layout: `lock` (who has it open), `log/`, `postgresql/`, `redis/`, `run/` (sockets). Under root the
directory itself, the lock and the logs are root's, so that the server account can misuse neither
names nor links in it; the servers own their own subdirectories and nobody else may enter those.
Permissions are changed inside the data directory only.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.embedded.account import ROOT_USER_ID, ServerAccount
from service.embedded.errors import DataDirectoryError
from service.embedded.lock import LOCK_NAME, held_lock
from service.embedded.reach import blocking_directory, reachable_temporary_directory

SOCKET_PATH_BYTES_MAX: Final = 100
"""The kernel holds the path of a unix socket in 108 bytes on Linux, 104 elsewhere."""

LONGEST_SOCKET_NAME: Final = ".s.PGSQL.5432.lock"
"""The longest name that a server makes in the socket directory."""

_PRIVATE: Final = 0o700
_ENTERABLE: Final = 0o711
"""Others may pass through, to what they know the name of, but not list or write."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """An open data directory; all paths are absolute and exist, but for `postgresql`."""

    path: Path
    log: Path
    redis: Path
    sockets: Path
    lock_descriptor: int

    @property
    def postgresql(self) -> Path:
        """PostgreSQL's own data directory; absent until it has been initialised."""
        return self.path / "postgresql"


def default_data_directory() -> Path:
    """Return where the data is kept if nobody says: of the machine under root, else of the user."""
    if os.geteuid() == ROOT_USER_ID:
        return Path("/var/lib/maywe")
    configured = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path is invalid and is ignored.
    base = Path(configured) if configured.startswith("/") else Path.home() / ".local" / "share"
    return base / "maywe"


@contextmanager
def opened_data_directory(path: Path, account: ServerAccount) -> Iterator[DataDirectory]:
    """Make `path` a data directory if it is new or empty, lock it, and release it at the end.

    Raises:
        DataDirectoryError: if it is somebody else's, holds other things, or `account` cannot get
            there.
        DataDirectoryInUseError: if another process has it open.

    """
    path = _created(path, account)
    _require_reachable(path, account)
    with held_lock(path / LOCK_NAME) as lock_descriptor:
        log = path / "log"
        log.mkdir(mode=_PRIVATE, exist_ok=True)
        redis = path / "redis"
        make_private_directory(redis, account)
        sockets = _socket_directory(path, account)
        yield DataDirectory(path, log, redis, sockets, lock_descriptor)


def make_private_directory(path: Path, account: ServerAccount) -> None:
    """Make sure that `path` is a directory that belongs to `account` and that only it may enter.

    One that is still our own, as after an interruption between its making and its giving away, is
    given away now.

    Raises:
        DataDirectoryError: if it is there and belongs to somebody else.

    """
    path.mkdir(mode=_PRIVATE, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {account.user_id, os.geteuid()}:
        raise DataDirectoryError(
            f"{path} belongs to user id {found.st_uid}, but the servers run as {account.name}: "
            "remove it, or choose another data directory"
        )
    if found.st_uid != account.user_id:
        os.chown(path, account.user_id, account.group_id, follow_symlinks=False)


def _created(path: Path, account: ServerAccount) -> Path:
    """Return `path` without symbolic links, made or taken over as a data directory of ours."""
    path = path.absolute()
    mode = _PRIVATE if account.is_own else _ENTERABLE
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        path = path.resolve()
        owner = path.stat().st_uid
        names = {entry.name for entry in path.iterdir()} if owner == os.geteuid() else set()
    except OSError as error:
        raise DataDirectoryError(
            f"cannot use the data directory {path}: {error.strerror}; choose another"
        ) from error
    if owner != os.geteuid():
        raise DataDirectoryError(
            f"the data directory {path} belongs to user id {owner}: "
            "run maywe as that user, or choose another data directory"
        )
    if names and LOCK_NAME not in names:
        raise DataDirectoryError(
            f"{path} holds other things and is no data directory of maywe: choose another or an "
            "empty one"
        )
    if not names:
        # Also undoes the umask of the mkdir above and the 0700 that mktemp gives.
        path.chmod(mode)
    return path


def _require_reachable(path: Path, account: ServerAccount) -> None:
    blocking = blocking_directory(account, path)
    if blocking is not None:
        raise DataDirectoryError(
            f"under root the servers run as {account.name}, who may not enter {blocking}: "
            f"choose a data directory elsewhere, such as {default_data_directory()}"
        )


def _socket_directory(path: Path, account: ServerAccount) -> Path:
    """Return an empty private directory for sockets: `run`, or a short one if that is too long.

    We hold the data directory's lock and so does every server that lives on it; whatever lies in
    the socket directory was left by servers that are gone.
    """
    directory = path / "run"
    if len(os.fsencode(directory / LONGEST_SOCKET_NAME)) > SOCKET_PATH_BYTES_MAX:
        # The same name every time, so that addresses stay and nothing piles up.
        name = f"maywe-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"
        bytes_left = SOCKET_PATH_BYTES_MAX - len(name) - len(LONGEST_SOCKET_NAME) - len("//")
        directory = reachable_temporary_directory(account, path_bytes_max=bytes_left) / name
    make_private_directory(directory, account)
    for entry in directory.iterdir():
        entry.unlink()
    return directory
