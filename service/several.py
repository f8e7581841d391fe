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

from service.processes import ChildProgram, child_processes
from service.server import ListenError
from service.settings import Settings, child_settings
from service.stores import started_stores

NUMBER_VARIABLE: Final = "MAYWE_PROCESS_NUMBER"
"""Environment variable by which a process knows, for its log, which of several it is."""

STOP_SECONDS_RESERVE: Final = 10.0
"""How much longer than its drain and grace a process may take to end."""


@contextmanager
def serving_processes(settings: Settings, role: str, stop: threading.Event) -> Iterator[str]:
    """Run as many processes of `maywe serve ROLE` as the settings say, and give where they listen.

    They serve by then, unless `stop` was set meanwhile. One that dies is started again; at the end
    all are ended in order.

    Raises:
        ListenError: when the port is somebody else's.
        ChildStartError: when a process ends before it serves.
        EmbeddedServerError: when embedded servers are wanted and cannot be had.
        UnavailableError: when PostgreSQL does not answer.

    """
    with started_stores(settings) as found, _reserved_port(settings) as listen:
        programs = []
        for number in range(1, settings.processes + 1):
            child = child_settings(_settings_of(number, replace(found, listen=listen)), os.environ)
            programs.append(
                ChildProgram(
                    f"{role} server {number}",
                    ["-m", "service.cli", "serve", role],
                    {**child.environment, NUMBER_VARIABLE: str(number)},
                    child.secrets,
                )
            )
        stop_seconds_max = (
            settings.shutdown_drain_seconds + settings.shutdown_grace_seconds + STOP_SECONDS_RESERVE
        )
        with child_processes(programs, stop_seconds_max) as children:
            children.wait_until_ready(stop)
            yield listen


def _settings_of(number: int, settings: Settings) -> Settings:
    """Give the settings of one of the processes, the first of which is number 1.

    They share the port of clients and nothing else: a control port that was chosen is the first
    one's, and the next ones' follow it. One comparison with the ledger is enough for all.
    """
    return replace(
        settings,
        processes=1,
        is_port_shared=True,
        control_listen=_port_after(settings.control_listen, number - 1),
        control_address=_port_after(settings.control_address, number - 1),
        reconciled_per_second=settings.reconciled_per_second if number == 1 else 0,
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
