"""Whether the server account can reach a path.

Here lives the question only, answered by trying it as that account: modes, access control lists and
mount options all count, and reading modes ourselves would miss some. Nothing here changes anything.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.embedded.account import ServerAccount
from service.embedded.errors import DataDirectoryError, EmbeddedServerError
from service.embedded.process import run_to_end

PROBE_TIMEOUT_SECONDS: Final = 30.0
"""A probe takes milliseconds; on a hung network file system it would take for ever."""

_FIRST_UNREACHABLE_SCRIPT: Final = """
for path do
    if [ -d "$path" ]; then [ -x "$path" ]; else [ -r "$path" ]; fi || { printf %s "$path"; exit; }
done
"""
"""Prints the first argument that is a directory not to be entered, or else not a readable file."""


def first_unreachable(account: ServerAccount, paths: Sequence[Path]) -> Path | None:
    """Return the first of `paths` that `account` cannot enter (a directory) or read (a file)."""
    if account.is_own:
        return None
    command = ["/bin/sh", "-c", _FIRST_UNREACHABLE_SCRIPT, "sh", *map(str, paths)]
    probe = run_to_end(
        account, command, working_directory=Path("/"), timeout_seconds=PROBE_TIMEOUT_SECONDS
    )
    if probe.returncode != 0:
        raise EmbeddedServerError(f"cannot run a program as {account.name}: {probe.stdout.strip()}")
    return Path(probe.stdout) if probe.stdout else None


def blocking_directory(account: ServerAccount, directory: Path) -> Path | None:
    """Return the topmost directory on the way to `directory`, itself included, that bars `account`.

    `directory` is absolute and without symbolic links.
    """
    return first_unreachable(account, [*reversed(directory.parents), directory])


def reachable_temporary_directory(account: ServerAccount, *, path_bytes_max: int = 4096) -> Path:
    """Return the system's directory for temporary files, or another such that `account` can reach.

    Raises:
        DataDirectoryError: if none can be reached, or none has a path within `path_bytes_max`.

    """
    candidates = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108
    for candidate in candidates:
        resolved = candidate.resolve()
        if (
            len(os.fsencode(resolved)) <= path_bytes_max
            and resolved.is_dir()
            and os.access(resolved, os.W_OK | os.X_OK)
            and blocking_directory(account, resolved) is None
        ):
            return resolved
    raise DataDirectoryError(
        f"none of {', '.join(map(str, candidates))} can be reached by {account.name}: "
        "set TMPDIR to a directory for temporary files that it can enter"
    )
