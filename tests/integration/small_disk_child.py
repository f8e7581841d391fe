"""A process that runs a PostgreSQL on a small disk of its own, and fills and frees that disk.

Run as `python -m tests.integration.small_disk_child DIRECTORY PLACE`, where PLACE is `tables` (the
directory for a tablespace is small) or `wal` (the write-ahead log is). It prints a line of JSON
when it is ready: the `url`, and `small`, where the disk is; or `cannot`, why this machine allows no
such disk. Then it obeys lines on standard input, each answered with a line: `fill`, `free`,
`restart`. It stops the server when its standard input ends.

The disk is a tmpfs, mounted where no other process sees it: in a mount namespace of this process,
and for that, without root, in a user namespace as well. It goes when the process goes.
"""

import ctypes
import errno
import json
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from service.embedded.account import server_account
from service.embedded.binaries import server_binaries
from service.embedded.directories import opened_data_directory
from service.embedded.postgresql import postgresql_server

CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUSER: Final = 0x1000_0000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x4_0000
"""Numbers of unshare(2) and mount(2) on Linux."""

SMALL_MEGABYTES: Final = 48
"""Room for a migrated database; or for the log, which is in segments of 16 megabytes."""

CHUNK_BYTES: Final = 4096
"""A page of tmpfs, so that nothing is left when it is full."""


class NotAllowedError(Exception):
    """This machine does not let us mount a disk of our own."""


def enter_namespaces() -> None:
    """Have mounts of our own from now on. MUST come before there are threads."""
    if sys.platform != "linux":
        message = "only Linux has mount namespaces"
        raise NotAllowedError(message)
    user_id, group_id = os.geteuid(), os.getegid()
    is_root = user_id == 0
    _call("unshare", CLONE_NEWNS if is_root else CLONE_NEWNS | CLONE_NEWUSER)
    if not is_root:
        # We stay who we are, as PostgreSQL refuses to run as root.
        for name, content in (
            ("setgroups", "deny"),
            ("uid_map", f"{user_id} {user_id} 1"),
            ("gid_map", f"{group_id} {group_id} 1"),
        ):
            try:
                Path("/proc/self", name).write_text(content, encoding="ascii")
            except OSError as error:
                raise NotAllowedError(f"{name}: {error.strerror}") from error
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)


def mount_small(directory: Path, user_id: int, group_id: int) -> None:
    """Mount an empty disk that belongs to a user."""
    options = f"size={SMALL_MEGABYTES}m,mode=0700,uid={user_id},gid={group_id}"
    _call("mount", b"tmpfs", os.fsencode(directory), b"tmpfs", 0, options.encode())


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise NotAllowedError(f"{name}: {os.strerror(ctypes.get_errno())}")


def move_owned(source: Path, target: Path) -> None:
    """Move a directory to another disk; everything in it keeps its owner."""
    shutil.copytree(source, target)
    for copied in (target, *target.rglob("*")):
        found = (source / copied.relative_to(target)).stat()
        os.chown(copied, found.st_uid, found.st_gid)
    shutil.rmtree(source)


def fill(ballast: Path) -> None:
    """Write a file until nothing more goes onto the disk."""
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        while True:
            os.write(descriptor, bytes(CHUNK_BYTES))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.close(descriptor)


def main(data_directory: Path, place: str) -> None:
    """Run the server until standard input ends."""
    account = server_account("nobody")
    with opened_data_directory(data_directory, account) as directory:
        binaries = server_binaries(account)
        small = data_directory / "small"
        small.mkdir()
        mount_small(small, account.user_id, account.group_id)
        if place == "wal":
            with postgresql_server(binaries, account, directory, durable=False):
                pass
            wal = directory.postgresql / "pg_wal"
            move_owned(wal, small / "pg_wal")
            wal.symlink_to(small / "pg_wal")
        with ExitStack() as running:
            server = running.enter_context(
                postgresql_server(binaries, account, directory, durable=False)
            )
            print(json.dumps({"url": server.url, "small": str(small)}), flush=True)
            for line in sys.stdin:
                match line.strip():
                    case "fill":
                        fill(small / "ballast")
                    case "free":
                        (small / "ballast").unlink()
                    case "restart":
                        running.close()
                        running.enter_context(
                            postgresql_server(binaries, account, directory, durable=False)
                        )
                print("done", flush=True)


if __name__ == "__main__":
    try:
        enter_namespaces()
        main(Path(sys.argv[1]), sys.argv[2])
    except NotAllowedError as error:
        print(json.dumps({"cannot": str(error)}), flush=True)
