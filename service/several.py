"""Several processes that serve one port, so that a machine's cores are all of use.

What lives here: what each of them is told, and keeping the port theirs. Python runs one thread of a
process at a time; the kernel spreads connections over the processes that listen on a port. Each has
all that a server started by itself has: its lease, its control port, its health.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from service.application import Role
from service.metrics.exposition import registry_of
from service.metrics.memory import new_memory
from service.metrics.meters import MEMORY_VARIABLE, memory_variable
from service.metrics.port import NOWHERE, metrics_port
from service.processes import ChildProcesses, ChildProgram, child_processes
from service.server import ListenError, port_collector
from service.settings import Settings, child_settings
from service.stores import started_stores

NUMBER_VARIABLE: Final = "MAYWE_PROCESS_NUMBER"
"""Environment variable by which a process knows, for its log, which of several it is."""

STOP_SECONDS_RESERVE: Final = 10.0
"""How much longer than its drain and grace a process may take to end."""


@contextmanager
def serving_processes(
    settings: Settings, role: str, roles: frozenset[Role], stop: threading.Event
) -> Iterator[str]:
    """Run as many processes of `maywe serve ROLE` as the settings say, and give where they listen.

    They serve by then, unless `stop` was set meanwhile. One that dies is started again; at the end
    all are ended in order. What all of them count is told by this process, which stays while they
    come and go.

    Raises:
        ListenError: when the port is somebody else's.
        MetricsListenError: when that for metrics is.
        ChildStartError: when a process ends before it serves.
        EmbeddedServerError: when embedded servers are wanted and cannot be had.
        UnavailableError: when PostgreSQL does not answer.

    """
    with started_stores(settings) as found, _reserved_port(settings) as listen:
        memories = [new_memory() for _ in range(settings.processes)]
        programs = []
        for number, memory in enumerate(memories, 1):
            child = child_settings(_settings_of(number, replace(found, listen=listen)), os.environ)
            programs.append(
                ChildProgram(
                    f"{role} server {number}",
                    ["-m", "service.cli", "serve", role],
                    {
                        **child.environment,
                        NUMBER_VARIABLE: str(number),
                        MEMORY_VARIABLE: memory_variable(memory, number),
                    },
                    child.secrets,
                    [memory.descriptor],
                    memory.forget_gauges,
                )
            )
        stop_seconds_max = (
            settings.shutdown_drain_seconds + settings.shutdown_grace_seconds + STOP_SECONDS_RESERVE
        )
        running: list[ChildProcesses] = []
        collector = port_collector(
            memories,
            roles,
            lambda: sum(len(children.process_ids) for children in running),
            lambda: sum(children.restarts for children in running),
        )
        with (
            metrics_port(registry_of(collector), settings.metrics_listen),
            child_processes(programs, stop_seconds_max) as children,
        ):
            running.append(children)
            children.wait_until_ready(stop)
            yield listen


def _settings_of(number: int, settings: Settings) -> Settings:
    """Give the settings of one of the processes, the first of which is number 1.

    They share the port of clients and nothing else: a control port that was chosen is the first
    one's, and the next ones' follow it. One that compares with the ledger and prunes is enough.
    """
    return replace(
        settings,
        processes=1,
        metrics_listen=NOWHERE,
        is_port_shared=True,
        control_listen=_port_after(settings.control_listen, number - 1),
        control_address=_port_after(settings.control_address, number - 1),
        reconciled_per_second=settings.reconciled_per_second if number == 1 else 0,
        outbox_days=settings.outbox_days if number == 1 else 0,
        journal_days=settings.journal_days if number == 1 else 0,
        # Shared out evenly, the first ones having one more.
        bulk_processes=(settings.bulk_processes + settings.processes - number)
        // settings.processes,
    )


def _port_after(address: str, count: int) -> str:
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + count}" if host and int(port) else address


@contextmanager
def _reserved_port(settings: Settings) -> Iterator[str]:
    """Keep the port to listen on, without listening, and give HOST:PORT.

    So port 0 is chosen once for all, and is still ours when a process is started again.
    """
    host, _, port = settings.listen.rpartition(":")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if not settings.is_port_shared:
            # Without sharing, once: the port of somebody else's server is refused.
            with socket.socket(family, kind, protocol) as alone:
                alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                alone.bind(place)
                alone.listen()
        reserved = socket.socket(family, kind, protocol)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(place)
    except OSError as error:
        raise ListenError(_PORT_TEXT.format(settings.listen)) from error
    with reserved:
        yield f"{host}:{reserved.getsockname()[1]}"


_PORT_TEXT: Final = "cannot listen on {}: is the address ours, and the port free?"
