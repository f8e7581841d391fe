"""Copies of program files for an account that cannot reach the originals.

Needed where root installs into a directory that only root may enter, such as what mktemp -d makes.
The copy lies in the directory for temporary files, named by its content and shared by all who need
the same content; it is trusted only if it is root's, nobody else may write it, and its content is
what the name says.
"""

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.embedded.account import ServerAccount
from service.embedded.errors import ServerBinariesError
from service.embedded.reach import first_unreachable, reachable_temporary_directory

_DIGEST_CHARACTERS: Final = 32
_DIRECTORY_MODE: Final = 0o755
_PROGRAM_MODE: Final = 0o755
_DATA_MODE: Final = 0o644


def shared_copy(account: ServerAccount, source: Path, files: Sequence[Path], *, name: str) -> Path:
    """Return a directory that holds `files` by their paths below `source`, made if need be.

    Raises:
        ServerBinariesError: if what is in its place is not ours, or `account` cannot use it.

    """
    relative = [path.relative_to(source) for path in files]
    digest = _digest(source, relative)
    parent = reachable_temporary_directory(account)
    copy = parent / f"maywe-{name}-{digest[:_DIGEST_CHARACTERS]}"
    with _locked(copy.with_name(f"{copy.name}.lock")):
        if copy.is_symlink() or copy.exists():
            _require_ours(copy)
            if not _is_whole(copy, relative, digest):
                # Directories for temporary files are swept: some of it may be gone.
                shutil.rmtree(copy)
        if not copy.exists():
            _make(copy, source, relative)
    blocked = first_unreachable(account, [copy / path for path in relative])
    if blocked is not None:
        raise ServerBinariesError(
            f"{account.name} cannot use {blocked}: set TMPDIR to a directory for temporary files "
            "from which programs may be executed"
        )
    return copy


def _digest(root: Path, relative: Sequence[Path]) -> str:
    """Return the SHA-256 over paths, executability and contents, in hexadecimal."""
    total = hashlib.sha256()
    for path in relative:
        with (root / path).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path}\0{_is_program(root / path)}\0{content}\n".encode())
    return total.hexdigest()


def _is_program(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXUSR)


def _is_whole(copy: Path, relative: Sequence[Path], digest: str) -> bool:
    try:
        return _digest(copy, relative) == digest
    except FileNotFoundError:
        return False


def _require_ours(path: Path) -> None:
    found = path.lstat()
    writable_by_others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid() or writable_by_others:
        raise ServerBinariesError(
            f"{path} was not made by us and will not be executed: find out who put it there, "
            "remove it, or set TMPDIR to another directory"
        )


def _make(copy: Path, source: Path, relative: Sequence[Path]) -> None:
    """Copy beside the final place first, so that under the final name there is never a part."""
    staging = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=copy.parent))
    try:
        for path in relative:
            target = staging / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, target)
            target.chmod(_PROGRAM_MODE if _is_program(source / path) else _DATA_MODE)
        for directory, _, _ in os.walk(staging):
            # Whatever the umask: it must be of use to others.
            Path(directory).chmod(_DIRECTORY_MODE)
        staging.rename(copy)
    except BaseException:
        shutil.rmtree(staging)
        raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time look at the copy and make it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ServerBinariesError(f"cannot lock {path}: {error.strerror}; remove it") from error
    try:
        _require_ours(path)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
