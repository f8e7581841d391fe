"""Child processes of a server: started, restarted when they die, and ended in order.

What lives here: the care of several processes of this program, for work that shall use more than
one core. What they do is said by whoever starts them. Each is a new interpreter and no fork, which
gRPC and open connections would not survive. Parent and child share a line, a pair of sockets: on it
the child says that it is ready, and sees by its end that the parent is gone, however that came.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

LINE_VARIABLE: Final = "MAYWE_PARENT_LINE"
"""Environment variable by which a child finds its end of the line, a file descriptor."""

READY_SECONDS_MAX: Final = 60.0
"""A child that was just started may take so long to say that it is ready."""

STOP_LOOK_SECONDS: Final = 0.05
"""How often whoever waits for a child asks whether to stop."""

RESTART_WAIT_SECONDS_MIN: Final = 0.1
RESTART_WAIT_SECONDS_MAX: Final = 5.0
"""A child that died waits so long before it is started again: longer each time it dies soon."""

LONG_LIFE_SECONDS: Final = 10.0
"""A child that lived so long did not fail at its start."""

KILLED_SECONDS_MAX: Final = 10.0
"""How long a killed child may take to be gone."""

_READY: Final = b"r"

_logger = logging.getLogger(__name__)


class ChildStartError(Exception):
    """A child process could not be started. The text says which, and how it ended."""


def _nothing() -> None:
    """Do nothing before a child is started."""


@dataclass(frozen=True, slots=True)
class ChildProgram:
    """A child as it shall be run: arguments of a Python interpreter, and its whole environment.

    `name` is for logs. What is secret belongs into `secrets`, by the environment variable that
    shall name a file with it: the child reads it once, and nobody else can. The files
    behind `descriptors` are open in the child too, under the same numbers. `before_start` is called
    each time before it is started.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    descriptors: Sequence[int] = ()
    before_start: Callable[[], None] = _nothing


@contextmanager
def child_processes(
    programs: Sequence[ChildProgram], stop_seconds_max: float
) -> Iterator["ChildProcesses"]:
    """Run children for as long as the context lasts; one that dies is started again.

    At the end each is sent SIGTERM, and SIGKILL after `stop_seconds_max`. A signal that a terminal
    sends reaches the parent alone, so that it can end the children in order.
    """
    children = ChildProcesses([_Child(program) for program in programs])
    try:
        yield children
    finally:
        children.stop(stop_seconds_max)


class ChildProcesses:
    """The children of one `child_processes`. Safe to be used by several threads."""

    def __init__(self, children: Sequence["_Child"]) -> None:
        self._children = children

    @property
    def process_ids(self) -> Sequence[int]:
        """The process ids of those that run now."""
        return [number for child in self._children if (number := child.process_id) is not None]

    @property
    def restarts(self) -> int:
        """How often a child that had died was started again."""
        return sum(child.restarts for child in self._children)

    def wait_until_ready(
        self, stop: threading.Event, seconds_max: float = READY_SECONDS_MAX
    ) -> None:
        """Wait until every child has said that it is ready, or until `stop` is set.

        Raises ChildStartError when one ends before it has, or does not in `seconds_max`.
        """
        deadline = time.monotonic() + seconds_max
        for child in self._children:
            child.wait_until_ready(stop, deadline)

    def stop(self, seconds_max: float) -> None:
        """End all children, in order and at the same time; nothing of them is left."""
        for child in self._children:
            child.begin_to_stop()
        deadline = time.monotonic() + seconds_max
        for child in self._children:
            child.finish_to_stop(deadline)


class _Child:
    """One child with the thread that keeps it running."""

    def __init__(self, program: ChildProgram) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        # Set once the first start has come to something: ready, or ended before.
        self._settled = threading.Event()
        self._failure = ""
        self._process: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self._thread = threading.Thread(target=self._keep, name=f"maywe {program.name}")
        self._thread.start()

    @property
    def process_id(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def wait_until_ready(self, stop: threading.Event, deadline: float) -> None:
        while not self._settled.wait(STOP_LOOK_SECONDS):
            if stop.is_set():
                return
            if time.monotonic() > deadline:
                message = f"{self._program.name} was not ready in time"
                raise ChildStartError(message)
        if self._failure and not stop.is_set():
            raise ChildStartError(self._failure)

    def begin_to_stop(self) -> None:
        with self._lock:
            self._stopping.set()
            self._signal(signal.SIGTERM)

    def finish_to_stop(self, deadline: float) -> None:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            _logger.warning("%s does not end: killed", self._program.name)
            self._signal(signal.SIGKILL)
            self._thread.join(KILLED_SECONDS_MAX)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            # Popen sends nothing to a process whose end it has seen.
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _keep(self) -> None:
        soon_dead_in_a_row = 0
        while not self._stopping.is_set():
            began_at = time.monotonic()
            self._run_once()
            if self._stopping.is_set():
                return
            lived_seconds = time.monotonic() - began_at
            soon_dead_in_a_row = 0 if lived_seconds >= LONG_LIFE_SECONDS else soon_dead_in_a_row + 1
            seconds = min(
                RESTART_WAIT_SECONDS_MAX,
                RESTART_WAIT_SECONDS_MIN * 2.0 ** min(soon_dead_in_a_row, 10),
            )
            _logger.error("%s; it is started again in %g s", self._failure, seconds)
            self._stopping.wait(seconds)
            self.restarts += 1

    def _run_once(self) -> None:
        ours, theirs = socket.socketpair()
        with ours:
            try:
                with theirs, self._lock:
                    if self._stopping.is_set():
                        return
                    process = self._process = self._start(theirs.fileno())
            except OSError as error:
                self._failure = f"{self._program.name} could not be started: {error.strerror}"
                self._settled.set()
                return
            if ours.recv(1) == _READY:
                self._failure = ""
                self._settled.set()
            status = process.wait()
        self._failure = f"{self._program.name} (process {process.pid}) ended, {_in_words(status)}"
        self._settled.set()

    def _start(self, line_descriptor: int) -> "subprocess.Popen[bytes]":
        program = self._program
        program.before_start()
        with ExitStack() as stack:
            descriptors = {
                variable: stack.enter_context(_pipe_with(text))
                for variable, text in program.secrets.items()
            }
            paths = {variable: f"/dev/fd/{number}" for variable, number in descriptors.items()}
            return subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, *program.arguments],
                env={**program.environment, **paths, LINE_VARIABLE: str(line_descriptor)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(line_descriptor, *program.descriptors, *descriptors.values()),
            )


@contextmanager
def _pipe_with(text: str) -> Iterator[int]:
    """Give the end of a pipe from which a text can be read, once."""
    reading, writing = os.pipe()
    try:
        # It fits: a pipe takes more than a setting is long (`settings.SECRET_BYTES_MAX`).
        with os.fdopen(writing, "wb") as stream:
            stream.write(text.encode())
        yield reading
    finally:
        os.close(reading)


def _in_words(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"with status {status}"


class ParentLine:
    """A child's end of the line to its parent; of no effect in a process that is nobody's child."""

    def __init__(self) -> None:
        """Find the line, once in the life of a process."""
        descriptor = os.environ.pop(LINE_VARIABLE, "")
        self._socket = socket.socket(fileno=int(descriptor)) if descriptor else None
        if self._socket is not None:
            self._socket.set_inheritable(False)

    @property
    def is_there(self) -> bool:
        """Whether there is a parent at the other end, or was."""
        return self._socket is not None

    def say_ready(self) -> None:
        """Tell the parent that this process does its work from now on."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.sendall(_READY)

    def stop_with_parent(self, stop: threading.Event) -> None:
        """Set `stop` when the parent is gone, even if it was killed."""
        if self._socket is not None:
            threading.Thread(
                target=_wait_for_end, args=(self._socket, stop), name="maywe parent", daemon=True
            ).start()


def _wait_for_end(line: socket.socket, stop: threading.Event) -> None:
    with suppress(OSError):
        line.recv(1)
    stop.set()
