"""Running a program as the server account: to its end, or as a server that is started and stopped.

Here lives all that is the same for every server process. What PostgreSQL or Redis in particular
wants to be told, and which signals stop it, belongs to their own modules.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.embedded.account import ServerAccount
from service.embedded.errors import ServerStartError, ServerStopError

READINESS_POLL_SECONDS: Final = 0.02
"""Pause between two questions whether a starting server is ready."""

LOG_LINES_SHOWN: Final = 15
"""How many last lines of a server's log an error shows."""

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")

_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""All that a server sees of our environment: settings come as arguments, not by accident."""


@dataclass(frozen=True, slots=True)
class StopStep:
    """One attempt to stop a server: a signal, and how long to wait for its effect."""

    stop_signal: signal.Signals
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class ServerProgram:
    """A server as it shall be run; `stop_steps` are tried in order, the first also at our death."""

    name: str
    command: Sequence[str]
    working_directory: Path
    log_path: Path
    lock_descriptor: int
    readiness_timeout_seconds: float
    stop_steps: Sequence[StopStep]


def run_to_end(
    account: ServerAccount,
    command: Sequence[str],
    *,
    working_directory: Path,
    timeout_seconds: float,
) -> subprocess.CompletedProcess[str]:
    """Run `command` as `account` and wait; the result holds both output streams in `stdout`.

    Raises:
        subprocess.TimeoutExpired: if it runs longer than `timeout_seconds`; it is killed then.

    """
    return subprocess.run(
        _launched(account, command, death_signal=signal.SIGKILL),
        cwd=working_directory,
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=timeout_seconds,
        check=False,
    )


class ServerProcess:
    """A server that runs as our child process."""

    def __init__(self, program: ServerProgram, process: subprocess.Popen[bytes]) -> None:
        self._program = program
        self._process = process

    @property
    def process_id(self) -> int:
        """The server's process id; for PostgreSQL, the postmaster's."""
        return self._process.pid

    def wait_until_ready(self, why_not_ready: Callable[[], str]) -> None:
        """Ask `why_not_ready` until it answers with an empty text.

        Raises:
            ServerStartError: if the server ends first, or is not ready within its program's
                `readiness_timeout_seconds`.

        """
        timeout_seconds = self._program.readiness_timeout_seconds
        deadline = time.monotonic() + timeout_seconds
        while reason := why_not_ready():
            if time.monotonic() >= deadline:
                raise self._start_error(f"was not ready within {timeout_seconds:g} s: {reason}")
            try:
                status = self._process.wait(READINESS_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            raise self._start_error(f"ended with status {status} while starting")

    def stop(self) -> None:
        """Stop the server by the steps of its program; a server that has ended already is fine.

        Raises:
            ServerStopError: if it still runs after the last step.

        """
        for step in self._program.stop_steps:
            self._process.send_signal(step.stop_signal)
            try:
                self._process.wait(step.wait_seconds)
            except subprocess.TimeoutExpired:
                continue
            return
        raise ServerStopError(
            f"{self._program.name} (process {self.process_id}) does not end, whatever it is sent: "
            f"look at {self._program.log_path} and end it by hand"
        )

    def _start_error(self, what: str) -> ServerStartError:
        log_path = self._program.log_path
        return ServerStartError(
            f"{self._program.name} {what}; the end of its log {log_path}, which says why:\n"
            f"{_last_lines(log_path)}"
        )


@contextmanager
def running_server(
    account: ServerAccount, program: ServerProgram, why_not_ready: Callable[[], str]
) -> Iterator[ServerProcess]:
    """Start `program` as `account`, wait until it is ready, and stop it at the end.

    The server gets a session of its own, so that Ctrl-C at a terminal reaches us alone and we stop
    it in order. It holds the data directory's lock as long as it or a process of its own lives.

    Raises:
        ServerStartError: if it does not start, or if this is not the main thread: the kernel ties a
            child's life to the thread that started it, and other threads may end early.
        ServerStopError: at the end, if it cannot be stopped.

    """
    if threading.current_thread() is not threading.main_thread():
        raise ServerStartError(
            "start embedded servers in the main thread: they die with the thread"
        )
    _keep_previous(program.log_path)
    with program.log_path.open("wb") as log:
        process = subprocess.Popen(
            _launched(account, program.command, death_signal=program.stop_steps[0].stop_signal),
            cwd=program.working_directory,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(program.lock_descriptor,),
        )
    server = ServerProcess(program, process)
    try:
        server.wait_until_ready(why_not_ready)
        yield server
    finally:
        server.stop()


def _launched(
    account: ServerAccount, command: Sequence[str], *, death_signal: signal.Signals
) -> list[str]:
    numbers = (os.getpid(), death_signal.value, account.user_id, account.group_id)
    return [sys.executable, "-I", "-S", str(_LAUNCHER), *map(str, numbers), *command]


def _keep_previous(log_path: Path) -> None:
    """Keep the log of the run before under another name, and of no run earlier than that."""
    if log_path.exists():
        log_path.replace(log_path.with_suffix(".previous.log"))


def _last_lines(log_path: Path) -> str:
    with log_path.open(encoding="utf-8", errors="replace") as log:
        return "".join(deque(log, LOG_LINES_SHOWN)) or "(the log is empty)"
