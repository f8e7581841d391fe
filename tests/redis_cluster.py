"""Redis servers that a test may kill, pause and restart: one, or a cluster of several.

Here lives starting the embedded server program on loopback ports, each in a directory of its own,
and joining servers into a cluster. All are ended by their own process, at the end or by the test.
"""

import os
import random
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from service.embedded import temporary_data_directory
from service.embedded.account import ServerAccount
from service.embedded.binaries import server_binaries
from service.embedded.process import ServerProcess, ServerProgram, StopStep, running_server
from tests.waiting import until

READY_SECONDS_MAX: Final = 60.0
REPLY_SECONDS_MAX: Final = 10.0

BUS_PORT_OFFSET: Final = 10_000
"""Servers of a cluster talk with each other on a port higher by this."""

PORTS: Final = range(15_000, 30_000)
"""Below those that the system gives to connections, also with the offset."""

PORT_ATTEMPTS_MAX: Final = 100
SLOTS: Final = 16_384
MASTERS: Final = 3

NODE_TIMEOUT_MILLISECONDS: Final = 2000
"""After this silence the others hold a server for dead and promote its replica."""

# The end needs no order: nothing that they hold is wanted.
_STOP_STEPS: Final = (StopStep(signal.SIGKILL, 10.0),)


@dataclass(slots=True)
class TestServer:
    """A Redis on a port of its own, which keeps its data over `kill` and `start` only if saved."""

    __test__ = False

    port: int
    directory: Path
    settings: dict[str, str]
    _running: ExitStack = field(default_factory=ExitStack)
    _process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, with what it has saved."""
        arguments = [word for name, value in self.settings.items() for word in (f"--{name}", value)]
        account = ServerAccount("our own", os.geteuid(), os.getegid())
        with (self.directory / "lock").open("w") as lock:
            program = ServerProgram(
                name="a Redis under test",
                command=[str(server_binaries(account).redis_server), *arguments],
                working_directory=self.directory,
                log_path=self.directory / "redis.log",
                lock_descriptor=lock.fileno(),
                readiness_timeout_seconds=READY_SECONDS_MAX,
                stop_steps=_STOP_STEPS,
            )
            self._process = self._running.enter_context(
                running_server(account, program, self._why_not_ready)
            )

    def kill(self) -> None:
        """End it at once, as if the machine had lost power."""
        self._running.close()
        self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it was paused."""
        self._signal(signal.SIGCONT)

    def execute(self, *words: str | int) -> Any:
        """Send it a command on a connection of its own."""
        with redis.Redis(
            port=self.port, socket_timeout=REPLY_SECONDS_MAX, decode_responses=True
        ) as client:
            return client.execute_command(*words)

    def _signal(self, which: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.process_id, which)

    def _why_not_ready(self) -> str:
        try:
            self.execute("PING")
        except redis.RedisError as error:
            return str(error)
        return ""


@contextmanager
def redis_servers(count: int, **settings: str) -> Iterator[list[TestServer]]:
    """Run servers of their own; a setting is named with `_` for `-`."""
    with temporary_data_directory() as directory, ExitStack() as stack:
        servers = []
        for number in range(count):
            port = _free_port()
            place = directory / str(number)
            place.mkdir()
            server = TestServer(
                port,
                place,
                {
                    "port": str(port),
                    "bind": "127.0.0.1",
                    "dir": str(place),
                    "save": "",
                    **{name.replace("_", "-"): value for name, value in settings.items()},
                },
            )
            stack.callback(server.kill)
            server.start()
            servers.append(server)
        yield servers


@dataclass(frozen=True, slots=True)
class Cluster:
    """Three masters and their replicas."""

    masters: Sequence[TestServer]
    replicas: Sequence[TestServer]

    @property
    def servers(self) -> list[TestServer]:
        """All of them."""
        return [*self.masters, *self.replicas]

    @property
    def url(self) -> str:
        """The URL that names it by two of its servers."""
        first, second = (f"127.0.0.1:{server.port}" for server in self.masters[:2])
        return f"redis+cluster://{first},{second}"

    def replicate(self, replica: TestServer, master: TestServer) -> None:
        """Make a server the replica of a master, and wait until it has all that the master has."""
        master_id = master.execute("CLUSTER", "MYID")
        until(lambda: master_id in replica.execute("CLUSTER", "NODES"))
        replica.execute("CLUSTER", "REPLICATE", master_id)
        until(lambda: "connected" in replica.execute("ROLE"))

    def wait_until_agreed(self) -> None:
        """Wait until every server knows all others and finds the cluster whole."""
        until(lambda: all(self._is_whole(server) for server in self.servers))

    def wait_until_heard(self, master: TestServer) -> None:
        """Wait until every server has heard which slots a master has taken.

        Who moves one back before may make servers disagree for good about who has it: what was
        said of it before counts again where two have taken it in the same epoch.
        """
        master_id = master.execute("CLUSTER", "MYID")
        until(
            lambda: len({_said_of(master_id, server) for server in self.servers}) == 1,
            "servers disagree about slots",
        )

    def _is_whole(self, server: TestServer) -> bool:
        info = server.execute("CLUSTER", "INFO")
        return "cluster_state:ok" in info and f"cluster_known_nodes:{len(self.servers)}\r" in info


def _said_of(master_id: str, server: TestServer) -> tuple[str, ...]:
    """Epoch and slots of a master as a server has them."""
    [line] = (
        line
        for line in server.execute("CLUSTER", "NODES").splitlines()
        if line.startswith(master_id)
    )
    _, _, _, _, _, _, epoch, _, *slots = line.split()
    return (epoch, *slots)


@contextmanager
def redis_cluster(replicas: int = 0) -> Iterator[Cluster]:
    """Run a cluster of three masters; the first ones have a replica each.

    Shards are answered though others are not, as we advise for real ones.
    """
    with redis_servers(
        MASTERS + replicas,
        cluster_enabled="yes",
        cluster_config_file="nodes.conf",
        cluster_node_timeout=str(NODE_TIMEOUT_MILLISECONDS),
        cluster_require_full_coverage="no",
        # A replica that was behind when its master died may be promoted all the same.
        cluster_replica_validity_factor="0",
    ) as servers:
        cluster = Cluster(servers[:MASTERS], servers[MASTERS:])
        for epoch, server in enumerate(servers, start=1):
            server.execute("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            for other in servers[:epoch]:
                server.execute("CLUSTER", "MEET", "127.0.0.1", other.port)
        for number, master in enumerate(cluster.masters):
            slots = range(number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS)
            master.execute("CLUSTER", "ADDSLOTS", *slots)
        cluster.wait_until_agreed()
        for replica, master in zip(cluster.replicas, cluster.masters, strict=False):
            cluster.replicate(replica, master)
        yield cluster


def _free_port() -> int:
    for _ in range(PORT_ATTEMPTS_MAX):
        port = random.choice(PORTS)
        if _is_free(port) and _is_free(port + BUS_PORT_OFFSET):
            return port
    message = "there is no free port"
    raise OSError(message)


def _is_free(port: int) -> bool:
    with socket.socket() as attempt:
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
