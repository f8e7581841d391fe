"""Becomes a server: gives up root, ties the server's life to its parent's, executes the program.

This file is run as a script by a bare interpreter (`python -I -S launcher.py ...`), so it imports
nothing outside the standard library. It exists because the alternative, a function between fork and
exec in the parent, is unsafe once the parent has threads, and the parent runs gRPC.

Arguments: parent's process id, signal number to receive when the parent dies, user id, group id,
program, the program's arguments.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""The operation number of prctl(2) that asks for a signal when the parent dies (Linux)."""

PRIVATE_UMASK = 0o077
"""Servers create files for their own account only."""


def become(user_id: int, group_id: int) -> None:
    """Give up root for good: no supplementary group, then the group, then the user."""
    if os.geteuid() != user_id:
        os.setgroups([])
        os.setgid(group_id)
        os.setuid(user_id)


def die_with_parent(parent_process_id: int, death_signal: int) -> None:
    """Ask for `death_signal` when the parent dies, even if it is killed.

    Must come after `become`, as the kernel forgets the request when the user changes. The parent
    may have died before the request, which shows in a different parent process id. Only Linux has
    this; elsewhere the servers of a killed parent stay, keep the data directory's lock, and so make
    the next start refuse instead of running beside them.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_process_id:
        sys.exit("the process that was starting this server has ended")


def main(arguments: list[str]) -> None:
    """Become the program named in `arguments`; returns only by raising."""
    parent_process_id, death_signal, user_id, group_id = (int(word) for word in arguments[:4])
    command = arguments[4:]
    become(user_id, group_id)
    die_with_parent(parent_process_id, death_signal)
    os.umask(PRIVATE_UMASK)
    # The interpreter ignores these two, and what is ignored stays so across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606 - replacing this process is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
