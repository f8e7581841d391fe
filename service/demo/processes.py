"""The servers of the demonstration: real processes on loopback, as an operator starts them.

What lives here: starting `maywe serve` and `maywe migrate`, waiting until they serve, stopping
them. PostgreSQL and Redis are `service.embedded`'s. Measurements start their servers here too.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from service.demo.narration import DemoFailedError
from service.embedded import EmbeddedServers

READY_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 20.0
COMMAND_SECONDS_MAX: Final = 120.0
POLL_SECONDS: Final = 0.1
LOG_LINES_SHOWN_MAX: Final = 20
LOOPBACK: Final = "127.0.0.1"

# Not the console script: that is found only where the virtual environment is active.
MAYWE: Final = (sys.executable, "-m", "service.cli")


_SOON_AGAIN: Final = [(f"grpc.{which}_reconnect_backoff_ms", 50) for which in ("initial", "max")]
"""By itself gRPC tries to connect again after a second, in which most servers have started."""


@dataclass(frozen=True, slots=True)
class ServerAddresses:
    """Where the servers listen."""

    decision: str
    writer: str


@dataclass(frozen=True, slots=True)
class StartedServer:
    """A server that was started, as HOST:PORT and as a process."""

    address: str
    log_path: Path
    process: subprocess.Popen[bytes]

    def wait_until_serving(self) -> None:
        """Ask for its health until it serves. Raises DemoFailedError."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        with grpc.insecure_channel(self.address, _SOON_AGAIN) as channel:
            # The types of grpc_health leave the calls of the stub out.
            health: Any = HealthStub(channel)
            while not _is_serving(health):
                what = f"the server at {self.address}, whose log is {self.log_path.name},"
                if self.process.poll() is not None:
                    raise DemoFailedError(f"{what} ended:\n{_end_of(self.log_path)}")
                if time.monotonic() >= deadline:
                    raise DemoFailedError(
                        f"{what} does not serve after {READY_SECONDS_MAX:g} seconds:\n"
                        f"{_end_of(self.log_path)}"
                    )
                time.sleep(POLL_SECONDS)


def environment_for(servers: EmbeddedServers) -> dict[str, str]:
    """Give the environment of a `maywe` that works on these stores, whatever is set outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAYWE_")}
    return kept | {
        "MAYWE_POSTGRES_URL": servers.postgresql.url,
        "MAYWE_REDIS_URL": servers.redis.url,
    }


def run_maywe(arguments: list[str], environment: Mapping[str, str]) -> str:
    """Run a command to its end and give what it printed. Raises DemoFailedError."""
    completed = subprocess.run(  # noqa: S603 - our own program
        [*MAYWE, *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    if completed.returncode:
        raise DemoFailedError(
            f"maywe {' '.join(arguments)} ended with status {completed.returncode}: "
            f"{completed.stderr.strip()}"
        )
    return completed.stdout.strip()


@contextmanager
def running_servers(
    log_directory: Path, environment: Mapping[str, str]
) -> Iterator[ServerAddresses]:
    """Start a decision server and a writer, wait until both serve, and stop them at the end.

    Raises DemoFailedError.
    """
    with ExitStack() as stack:
        starting: list[StartedServer] = []
        for role in ("decision", "writer"):
            command = [*MAYWE, "serve", role]
            log_path = log_directory / f"{role}.log"
            starting.append(stack.enter_context(started_server(command, log_path, environment)))
        for server in starting:
            server.wait_until_serving()
        yield ServerAddresses(starting[0].address, starting[1].address)


@contextmanager
def started_server(
    command: Sequence[str], log_path: Path, environment: Mapping[str, str]
) -> Iterator[StartedServer]:
    """Start a server on a free port, which `--listen` tells it, and stop it at the end.

    It may not serve yet.
    """
    address = f"{LOOPBACK}:{_free_port()}"
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*command, "--listen", address],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for the demonstration, which stops its servers in order.
            start_new_session=True,
        )
    try:
        yield StartedServer(address, log_path, process)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_serving(health: Any) -> bool:  # noqa: ANN401 - as above
    try:
        response = health.Check(HealthCheckRequest(), timeout=1.0, wait_for_ready=True)
    except grpc.RpcError:
        return False
    return bool(response.status == HealthCheckResponse.SERVING)


def _end_of(log_path: Path) -> str:
    lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES_SHOWN_MAX:])


def _free_port() -> int:
    """Find a port that is free now. Somebody may take it before we do; then starting fails."""
    with socket.socket() as candidate:
        candidate.bind((LOOPBACK, 0))
        return int(candidate.getsockname()[1])
