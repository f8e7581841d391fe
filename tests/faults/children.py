"""Processes of the campaign: started, killed, paused and started again, each with a log of its own.

What lives here: the life of one process. Every one is ended by its own id, and dies with the
campaign even when that is killed. Start them in the main thread: the kernel ties a child's life to
the thread that started it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from service.embedded import launcher
from service.embedded.account import ServerAccount

STOP_SECONDS_MAX: Final = 15.0
KILL_SECONDS_MAX: Final = 15.0


def own_account() -> ServerAccount:
    """Give the account of this process, as which our own processes run."""
    return ServerAccount(f"user {os.geteuid()}", os.geteuid(), os.getegid())


@dataclass(slots=True)
class Child:
    """A process that can be started any number of times, one at a time."""

    name: str
    command: Sequence[str]
    log_path: Path
    working_directory: Path
    account: ServerAccount = field(default_factory=own_account)
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: "subprocess.Popen[bytes] | None" = None
    _is_paused: bool = False

    @property
    def process_id(self) -> int:
        """The process id of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; what it writes is appended to its log."""
        assert not self.is_running
        numbers = (
            os.getpid(),
            signal.SIGKILL.value,
            self.account.user_id,
            self.account.group_id,
        )
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", launcher.__file__, *map(str, numbers), *self.command],
                cwd=self.working_directory,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._is_paused = False

    def kill(self) -> None:
        """Kill the process, if it runs, and wait for its end."""
        self._end(signal.SIGKILL)

    def stop(self, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        """Tell the process to end, wait, and kill it if it does not."""
        self._end(stop_signal)

    def pause(self) -> None:
        """Stop the process from running without ending it."""
        if self.is_running:
            self._is_paused = True
            os.kill(self.process_id, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process run on."""
        if self._is_paused and self.is_running:
            os.kill(self.process_id, signal.SIGCONT)
        self._is_paused = False

    def _end(self, end_signal: signal.Signals) -> None:
        if self._process is None or not self.is_running:
            return
        self._process.send_signal(end_signal)
        self.resume()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(KILL_SECONDS_MAX)


def descendants(process_id: int) -> list[int]:
    """Give the ids of the processes that a process has started, theirs included."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything; the parent is the second field after it.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [process_id]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
