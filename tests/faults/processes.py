"""maywe's own processes in a campaign: launched with the tests' wrappers, reached through links.

What lives here: how one process is started, when it is ready, and the files that arm what is
wrapped in it. Which processes there are is `system`'s.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.faults import failpoints, meddling
from tests.faults.children import Child

READY_SECONDS_MAX: Final = 60.0
READY_POLL_SECONDS: Final = 0.05
STARTS_MAX: Final = 5
LOG_CHARACTERS_SHOWN: Final = 2000
CALL_SECONDS_MAX: Final = 1.0
NO_PORT: Final = 0
"""Of a process that has no clients."""


@dataclass(frozen=True, slots=True)
class MayweProcess:
    """A process of maywe: where it listens itself, and where its clients reach it."""

    name: str
    role: str
    port: int
    client_port: int
    directory: Path
    child: Child

    def start(self) -> None:
        """Start it, without waiting. What is armed stays so."""
        self.child.start()

    def wait_until_ready(self) -> None:
        """Wait until it serves; started again when it has ended, as its stores may be away."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        starts = 1
        while not self._is_ready():
            if time.monotonic() > deadline or starts > STARTS_MAX:
                log = self.child.log_path.read_text(encoding="utf-8")[-LOG_CHARACTERS_SHOWN:]
                message = f"{self.name} does not become ready; its log ends with\n{log}"
                raise TimeoutError(message)
            if not self.child.is_running:
                starts += 1
                self.child.start()
            time.sleep(READY_POLL_SECONDS)

    def set_clock(self, seconds: float) -> None:
        """Let its wall clock be off by so much."""
        (self.directory / meddling.CLOCK).write_text(str(seconds))

    def meddle_with_batches(self, *, is_on: bool) -> None:
        """Repeat and reorder the batches that it projects, or leave them alone."""
        file = self.directory / meddling.BATCHES
        if is_on:
            file.touch()
        else:
            file.unlink(missing_ok=True)

    def arm(self, place: str, order: str) -> None:
        """Arm a failpoint."""
        failpoints.arm(self.directory, place, order)

    def disarm(self, place: str) -> None:
        """Disarm a failpoint."""
        failpoints.disarm(self.directory, place)

    def has_reached(self, place: str) -> bool:
        """Tell whether a failpoint was passed since it was armed."""
        return failpoints.was_reached(self.directory, place)

    def _is_ready(self) -> bool:
        if not self.child.is_running:
            return False
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS_MAX)
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Give settings as the environment of a process."""
    return {f"MAYWE_{name.removeprefix('is_').upper()}": value for name, value in settings.items()}
