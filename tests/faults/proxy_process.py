"""The proxy: one process that carries every connection between two parts, and breaks some.

What lives here: the loop that forwards bytes, and what a link can be told. Run as a script it reads
commands from standard input, one JSON document a line, answers each with a line, and ends with its
input. Which links there are and when they break is decided by who writes the commands.
"""

import json
import os
import selectors
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

BYTES_PER_READ: Final = 65536
BYTES_HELD_MAX: Final = 4 * 1024 * 1024
"""What one direction of a connection may hold; beyond it the sender is made to wait."""

CONNECTIONS_WAITING_MAX: Final = 128
NANOSECONDS_PER_MILLISECOND: Final = 1_000_000
NANOSECONDS_PER_SECOND: Final = 1_000_000_000

_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for no time: the other side sees a reset, as when a machine is gone."""


@dataclass(slots=True)
class Link:
    """A way between two parts: who connects to its own port is carried to the target's."""

    name: str
    listener: socket.socket
    target_port: int
    is_cut: bool = False
    is_stalled: bool = False
    delay_milliseconds: int = 0
    connections: set["Connection"] = field(default_factory=set)


@dataclass(slots=True)
class Direction:
    """What flows from one socket of a connection to the other: chunks with when they are due."""

    source: socket.socket
    sink: socket.socket
    chunks: deque[tuple[int, bytes]] = field(default_factory=deque)
    bytes_held: int = 0
    is_ended: bool = False
    is_sink_told: bool = False
    is_sink_full: bool = False


@dataclass(slots=True, eq=False)
class Connection:
    """Two sockets and the two directions between them."""

    link: Link
    directions: tuple[Direction, Direction]


class Proxy:
    """All links, in one loop."""

    def __init__(self) -> None:
        """Begin without links."""
        self._selector = selectors.DefaultSelector()
        self._links: dict[str, Link] = {}
        self._connections: dict[socket.socket, Connection] = {}
        self._events: dict[socket.socket, int] = {}
        self._holding: set[Connection] = set()
        self._is_running = True
        self._input = bytearray()

    def run(self) -> None:
        """Forward until the input ends."""
        self._selector.register(sys.stdin.buffer, selectors.EVENT_READ)
        while self._is_running:
            for key, events in self._selector.select(self._seconds_until_due()):
                self._handle(key.fileobj, events)
            self._flush_due()

    def _handle(self, source: Any, events: int) -> None:
        if source is sys.stdin.buffer:
            self._read_commands()
            return
        connection = self._connections.get(source)
        if connection is not None:
            self._carry(connection, source, events)
            return
        # A connection that was closed a moment ago may still have an event in this round.
        for link in self._links.values():
            if link.listener is source:
                self._accept(link)

    def _read_commands(self) -> None:
        # Past the buffer, in which a second command would wait unseen.
        data = os.read(sys.stdin.fileno(), BYTES_PER_READ)
        if not data:
            self._is_running = False
            return
        self._input += data
        while b"\n" in self._input:
            line, _, rest = bytes(self._input).partition(b"\n")
            self._input = bytearray(rest)
            print(json.dumps(self._obey(json.loads(line))), flush=True)

    def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        if command["do"] == "open":
            return {"port": self._open(command["link"], command["target_port"])}
        link = self._links[command["link"]]
        if command["do"] == "point":
            link.target_port = command["target_port"]
            self._close_all(link)
            return {}
        link.is_cut = command["is_cut"]
        link.is_stalled = command["is_stalled"]
        link.delay_milliseconds = command["delay_milliseconds"]
        if link.is_cut:
            self._close_all(link)
        for connection in list(link.connections):
            self._refresh(connection)
        return {}

    def _open(self, name: str, target_port: int) -> int:
        listener = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS_WAITING_MAX)
        listener.setblocking(False)  # noqa: FBT003 - its only argument
        self._links[name] = Link(name, listener, target_port)
        self._selector.register(listener, selectors.EVENT_READ)
        port: int = listener.getsockname()[1]
        return port

    def _accept(self, link: Link) -> None:
        try:
            client, _ = link.listener.accept()
        except OSError:
            return
        if link.is_cut:
            _reset(client)
            return
        server = socket.socket()
        for end in (client, server):
            end.setblocking(False)  # noqa: FBT003 - its only argument
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Whether it comes about shows when the first bytes are carried.
        server.connect_ex(("127.0.0.1", link.target_port))
        connection = Connection(link, (Direction(client, server), Direction(server, client)))
        link.connections.add(connection)
        for end in (client, server):
            self._connections[end] = connection
        self._refresh(connection)

    def _carry(self, connection: Connection, end: socket.socket, events: int) -> None:
        try:
            for direction in connection.directions:
                if direction.sink is end and events & selectors.EVENT_WRITE:
                    direction.is_sink_full = False
                if direction.source is end and events & selectors.EVENT_READ:
                    self._receive(connection.link, direction)
            self._refresh(connection)
        except OSError:
            self._close(connection)

    def _receive(self, link: Link, direction: Direction) -> None:
        if link.is_stalled or direction.is_ended:
            return
        try:
            data = direction.source.recv(BYTES_PER_READ)
        except BlockingIOError:
            return
        due = time.monotonic_ns() + link.delay_milliseconds * NANOSECONDS_PER_MILLISECOND
        if direction.chunks:
            due = max(due, direction.chunks[-1][0])
        if not data:
            direction.is_ended = True
        direction.chunks.append((due, data))
        direction.bytes_held += len(data)

    def _refresh(self, connection: Connection) -> None:
        """Send what is due, and wait for what each socket can do next."""
        link = connection.link
        try:
            if not link.is_stalled:
                for direction in connection.directions:
                    _send_due(direction)
        except OSError:
            self._close(connection)
            return
        if all(direction.is_sink_told for direction in connection.directions):
            self._close(connection)
            return
        if any(direction.chunks for direction in connection.directions):
            self._holding.add(connection)
        else:
            self._holding.discard(connection)
        for direction in connection.directions:
            self._watch(connection, direction.source)

    def _watch(self, connection: Connection, end: socket.socket) -> None:
        outward, inward = connection.directions
        if outward.source is not end:
            outward, inward = inward, outward
        events = 0
        if not connection.link.is_stalled:
            if not outward.is_ended and outward.bytes_held < BYTES_HELD_MAX:
                events |= selectors.EVENT_READ
            if inward.is_sink_full:
                events |= selectors.EVENT_WRITE
        known = self._events.get(end, 0)
        if events == known:
            return
        if not known:
            self._selector.register(end, events)
        elif not events:
            self._selector.unregister(end)
        else:
            self._selector.modify(end, events)
        self._events[end] = events

    def _flush_due(self) -> None:
        for connection in list(self._holding):
            self._refresh(connection)

    def _seconds_until_due(self) -> float | None:
        soonest = min(
            (
                direction.chunks[0][0]
                for connection in self._holding
                if not connection.link.is_stalled
                for direction in connection.directions
                if direction.chunks and not direction.is_sink_full
            ),
            default=None,
        )
        if soonest is None:
            return None
        return max(0.0, (soonest - time.monotonic_ns()) / NANOSECONDS_PER_SECOND)

    def _close_all(self, link: Link) -> None:
        for connection in list(link.connections):
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        if connection not in connection.link.connections:
            return
        connection.link.connections.discard(connection)
        self._holding.discard(connection)
        for direction in connection.directions:
            end = direction.source
            if self._events.pop(end, 0):
                self._selector.unregister(end)
            self._connections.pop(end, None)
            _reset(end)


def _send_due(direction: Direction) -> None:
    now = time.monotonic_ns()
    while direction.chunks and direction.chunks[0][0] <= now and not direction.is_sink_full:
        due, data = direction.chunks.popleft()
        if not data:
            direction.sink.shutdown(socket.SHUT_WR)
            direction.is_sink_told = True
            return
        try:
            sent = direction.sink.send(data)
        except BlockingIOError:
            sent = 0
        direction.bytes_held -= sent
        if sent < len(data):
            direction.chunks.appendleft((due, data[sent:]))
            direction.is_sink_full = True


def _reset(end: socket.socket) -> None:
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    finally:
        end.close()


if __name__ == "__main__":
    Proxy().run()
