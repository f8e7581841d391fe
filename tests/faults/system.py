"""The system under faults: stores, links, two writers, two decision servers, one worker.

What lives here: which parts there are, through which links they reach one another, and their
starting and ending. What is done to them is in `kinds`.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tests
from service.embedded.account import server_account
from service.embedded.binaries import server_binaries
from service.embedded.reach import reachable_temporary_directory
from tests.faults.children import Child
from tests.faults.postgresql import DATABASE, ROLE, Postgresql
from tests.faults.processes import NO_PORT, MayweProcess, environment
from tests.faults.proxies import Links, running_links
from tests.faults.redis_nodes import RedisNode
from tests.waiting import until

PORTS: Final = range(20_000, 32_000)
"""Where servers listen that are started again on their port: the system lends it to nobody else."""

PORT_ATTEMPTS_MAX: Final = 200
COMMAND_SECONDS_MAX: Final = 60.0
NAMESPACE: Final = "faults"
REPLICATION_LINK: Final = "replica > master"

WRITERS: Final = ("writer-1", "writer-2")
DECISIONS: Final = ("decision-1", "decision-2")
WORKER: Final = "worker"


@dataclass(frozen=True, slots=True)
class System:
    """Everything that runs, by name."""

    directory: Path
    links: Links
    postgresql: Postgresql
    redis_nodes: list[RedisNode]
    """The master first."""
    replication_port: int
    """Where the replica reaches the master."""
    processes: dict[str, MayweProcess]

    def of_role(self, role: str) -> list[MayweProcess]:
        """Give the processes of a role."""
        return [process for process in self.processes.values() if process.role == role]

    def links_to(self, what: str) -> list[str]:
        """Give the links that lead to a part, by the part's name."""
        return [name for name in self.links.names if name.partition(" > ")[2] == what]

    def run_command(self, *words: str) -> None:
        """Run a command of maywe on the stores themselves, past every link, as operators do."""
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", *words],
            cwd=_root(),
            env={"PATH": os.environ.get("PATH", ""), **environment(self.direct_settings)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stdout

    @property
    def direct_settings(self) -> dict[str, str]:
        """The settings with which the stores are reached past every link."""
        return {
            "postgres_url": _postgres_url(self.postgresql.port),
            "redis_url": f"redis://127.0.0.1:{self.redis_nodes[0].port}/0",
            "redis_namespace": NAMESPACE,
        }


@contextmanager
def running_system(sabotages: str = "") -> Iterator[System]:
    """Start everything in a new directory, and end all of it; the directory stays.

    `sabotages` are names of `tests.sabotage`, parted by commas, for every process of maywe.
    """
    account = server_account("nobody")
    directory = Path(
        tempfile.mkdtemp(prefix="maywe-faults-", dir=reachable_temporary_directory(account))
    )
    # The stores run as another account under root, and have directories of their own below.
    directory.chmod(0o711)
    binaries = server_binaries(account)
    taken: set[int] = set()
    with _removed_if_interrupted(directory), ExitStack() as stack:
        links = stack.enter_context(running_links())
        postgresql = Postgresql(binaries, account, directory, _free_port(taken))
        nodes = [
            RedisNode(name, binaries, account, directory, _free_port(taken))
            for name in ("redis-1", "redis-2")
        ]
        replication_port = links.open(REPLICATION_LINK, nodes[0].port)
        system = System(directory, links, postgresql, nodes, replication_port, {})
        postgresql.initialise()
        stack.callback(postgresql.stop)
        postgresql.start()
        for node in nodes:
            stack.callback(node.child.kill)
            node.start()
        nodes[1].follow(system.replication_port)
        system.run_command("migrate")
        for name in (*WRITERS, *DECISIONS, WORKER):
            process = system.processes[name] = _process(system, name, sabotages, taken)
            stack.callback(process.child.stop)
            process.start()
        for process in system.processes.values():
            process.wait_until_ready()
        until(nodes[1].is_in_step, "the replica does not hear its master")
        yield system


@contextmanager
def _removed_if_interrupted(directory: Path) -> Iterator[None]:
    """Remove what nobody will look at. After any other trouble the logs are of use."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(directory)
        raise


def _process(system: System, name: str, sabotages: str, taken: set[int]) -> MayweProcess:
    role = name.partition("-")[0]
    links, directory = system.links, system.directory / name
    directory.mkdir()
    port = _free_port(taken)
    client_port = NO_PORT if role == WORKER else links.open(f"clients > {name}", port)
    settings = {
        "postgres_url": _postgres_url(links.open(f"{name} > postgresql", system.postgresql.port)),
        "redis_url": "redis://127.0.0.1:"
        f"{links.open(f'{name} > redis', system.redis_nodes[0].port)}/0",
        "redis_namespace": NAMESPACE,
        "listen": f"127.0.0.1:{port}",
        "shutdown_grace_seconds": "1",
        # What is armed is armed in this process.
        "bulk_processes": "0",
    }
    if role == "decision":
        control_port = _free_port(taken)
        settings["control_listen"] = f"127.0.0.1:{control_port}"
        settings["control_address"] = (
            f"127.0.0.1:{links.open(f'writers > control of {name}', control_port)}"
        )
    child = Child(
        name,
        [
            sys.executable,
            "-m",
            "tests.faults.serve",
            str(directory),
            sabotages,
            "serve",
            role,
        ],
        system.directory / f"{name}.log",
        _root(),
        environment=environment(settings),
    )
    return MayweProcess(name, role, port, client_port, directory, child)


def _postgres_url(port: int) -> str:
    return f"postgresql+psycopg://{ROLE}@127.0.0.1:{port}/{DATABASE}"


def _root() -> Path:
    return Path(tests.__file__).parent.parent


def _free_port(taken: set[int]) -> int:
    for _ in range(PORT_ATTEMPTS_MAX):
        port = random.SystemRandom().choice(PORTS)
        if port in taken:
            continue
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        taken.add(port)
        return port
    message = "there is no free port"
    raise RuntimeError(message)
