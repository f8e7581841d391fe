"""Running the examples of docs/clients as somebody would: as processes, by their command lines.

What lives here: where each language's programs are and what it takes to run them, and the ways to
talk to one that is running. What is expected of them is the same for all languages, and the tests'.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
CLIENTS: Final = REPOSITORY / "docs" / "clients"

SECONDS_MAX: Final = 100.0
"""A bound against hanging; not a performance claim."""

PROGRAMS: Final = ("dialer", "campaign", "partner")

READY: Final = "make it ready by `make clients`, which says why it can not be"


@dataclass(frozen=True, slots=True)
class Language:
    """A language, and how its programs are run."""

    name: str

    def command(self, program: str) -> list[str]:
        """Give the command of a program."""
        match self.name:
            case "python":
                return [sys.executable, str(CLIENTS / "python" / f"{program}.py")]
            case "node":
                return ["node", str(CLIENTS / "node" / f"{program}.js")]
            case _:
                return [str(CLIENTS / "go" / "bin" / program)]

    def missing(self) -> str:
        """Say what is missing to run its programs; empty when nothing is."""
        contract = [
            path
            for pattern in ("*.proto", "service_config.json")
            for path in (REPOSITORY / "protos" / "maywe" / "v1").glob(pattern)
        ]
        match self.name:
            case "python":
                return ""
            case "node":
                directory = CLIENTS / "node"
                made = directory / "generated" / "maywe.binpb"
                is_there = (
                    shutil.which("node") is not None
                    and (directory / "node_modules" / "@grpc" / "grpc-js").exists()
                )
                return _stale_or_missing("Node", [made] if is_there else [], contract)
            case _:
                directory = CLIENTS / "go"
                sources = [*contract, directory / "go.mod"]
                sources += (path for path in directory.rglob("*.go") if path.parent.name != "v1")
                programs = [directory / "bin" / name for name in PROGRAMS]
                return _stale_or_missing("Go", programs, sources)


def _stale_or_missing(name: str, made: Sequence[Path], sources: Sequence[Path]) -> str:
    if not made or not all(path.exists() for path in made):
        return f"the examples in {name} are not ready: {READY}"
    made_at = min(path.stat().st_mtime for path in made)
    if any(path.stat().st_mtime > made_at for path in sources):
        return f"the examples in {name} are older than what they are made from: {READY}"
    return ""


LANGUAGES: Final = tuple(map(Language, ("python", "node", "go")))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and what it printed; `lines` are of standard output, split at tabs."""

    status: int
    lines: list[list[str]]
    errors: str


class Dialer:
    """A dialer that is asked about one customer after the other."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """Talk to a process."""
        self._process = process

    def asked(self, customer_id: str) -> list[str]:
        """Give it a customer, and wait for what it says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{customer_id}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the dialer has ended"
        name, *words = line.rstrip("\n").split("\t")
        assert name == customer_id
        return words


def run(language: Language, program: str, *arguments: str, given: str = "") -> Ended:
    """Run a program to its end, with `given` on standard input."""
    finished = subprocess.run(
        [*language.command(program), *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    lines = [line.split("\t") for line in finished.stdout.splitlines()]
    return Ended(finished.returncode, lines, finished.stderr)


@contextmanager
def started(language: Language, program: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a program, and kill it at the end if it has not ended."""
    with subprocess.Popen(
        [*language.command(program), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def dialling(language: Language, *arguments: str) -> Iterator[Dialer]:
    """Start a dialer to talk to."""
    with started(language, "dialer", *arguments) as process:
        yield Dialer(process)


def pause(process: "subprocess.Popen[str]") -> None:
    """Stop a child of ours from running, and wait until it has stopped: it may be at an answer."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
