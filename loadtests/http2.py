"""A lean client of gRPC calls over HTTP/2, for loading a server without costing what it costs.

What lives here: one connection that sends prepared unary calls and reads their answers, just enough
of HTTP/2 for a gRPC server on loopback: settings, pings, flow control, header compression. Whatever
else a server might send ends the measurement with an error. When to send is the caller's.
"""

import socket
import struct
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from hpack import Decoder, Encoder

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0x0
HEADERS: Final = 0x1
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PING: Final = 0x6
WINDOW_UPDATE: Final = 0x8

END_STREAM: Final = 0x1
ACKNOWLEDGED: Final = 0x1
END_HEADERS: Final = 0x4
PADDED_OR_PRIORITY: Final = 0x8 | 0x20

SETTINGS_INITIAL_WINDOW_SIZE: Final = 0x4
WINDOW_MAX: Final = 2**31 - 1
WINDOW_DEFAULT: Final = 65_535
FRAME_BYTES_MAX: Final = 16_384
"""No peer may refuse frames up to here."""

READ_BYTES: Final = 256 * 1024

_FRAME: Final = struct.Struct(">HBBBI")
"""The first 16 and last 8 bits of the length, the type, the flags, the stream."""

_MESSAGE: Final = struct.Struct(">BI")
"""What goes before a message of gRPC: whether it is compressed, and its length."""

STATUS_OF_BROKEN_CALL: Final = "reset"


class ProtocolError(Exception):
    """The server sent what this client does not understand, or closed the connection."""


class Answer(NamedTuple):
    """The end of a call: which one, its status, and its message where that was to be kept."""

    call: int
    status: str
    message: bytes | None


class _Call:
    """A call under way."""

    __slots__ = ("is_kept", "kept", "number")

    def __init__(self, number: int, *, is_kept: bool) -> None:
        self.number = number
        self.is_kept = is_kept
        self.kept: list[bytes] = []


def prepared(message: bytes) -> bytes:
    """Give a message as a call's body: what `Connection.send` takes.

    Raises ValueError for one that does not fit in a frame.
    """
    if len(message) + _MESSAGE.size > FRAME_BYTES_MAX:
        text = f"a message of {len(message)} bytes does not fit in a frame"
        raise ValueError(text)
    return _MESSAGE.pack(0, len(message)) + message


class Connection:
    """A connection on which calls of one method are sent."""

    def __init__(self, address: str, path: str) -> None:
        """Connect to HOST:PORT, and shake hands when data is first sent and read."""
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        encoder = Encoder()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", address),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "maywe-bench"),
        ]
        # The first call puts its headers into the server's table, all others refer to them there.
        self._first_headers: bytes | None = encoder.encode(headers)
        self._headers = encoder.encode(headers)
        self._decoder = Decoder()
        self._known_blocks: dict[bytes, str | None] = {}
        self._next_stream = 1
        self._calls: dict[int, _Call] = {}
        self._send_window = WINDOW_DEFAULT
        self._received_since_update = 0
        self._unread = b""
        self._unsent: deque[tuple[int, bytes, bool]] = deque()
        settings = struct.pack(">HI", SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_MAX)
        self._socket.sendall(
            PREFACE
            + _frame(SETTINGS, 0, 0, settings)
            + _frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW_MAX - WINDOW_DEFAULT))
        )

    def fileno(self) -> int:
        """Give the descriptor of the socket, so that it can be waited for."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self._socket.close()

    @property
    def calls_under_way(self) -> int:
        """How many calls were sent and not answered."""
        return len(self._calls) + len(self._unsent)

    def send(self, calls: Iterable[tuple[int, bytes, bool]]) -> None:
        """Send calls: for each its number, its body, and whether the answer is to be kept.

        What the server's window does not allow yet is sent when it does.
        """
        frames: list[bytes] = []
        for call in calls:
            if self._unsent or len(call[1]) > self._send_window:
                self._unsent.append(call)
            else:
                self._add_frames(frames, *call)
        if frames:
            self._socket.sendall(b"".join(frames))

    def _add_frames(self, frames: list[bytes], number: int, body: bytes, is_kept: bool) -> None:  # noqa: FBT001 - as `send` takes it
        stream = self._next_stream
        self._next_stream = stream + 2
        self._calls[stream] = _Call(number, is_kept=is_kept)
        self._send_window -= len(body)
        block = self._headers
        if self._first_headers is not None:
            block, self._first_headers = self._first_headers, None
        frames += (
            _FRAME.pack(0, len(block), HEADERS, END_HEADERS, stream),
            block,
            _FRAME.pack(len(body) >> 8, len(body) & 0xFF, DATA, END_STREAM, stream),
            body,
        )

    def receive(self) -> list[Answer]:
        """Read once, and give the calls that have ended. Raises ProtocolError."""
        data = self._socket.recv(READ_BYTES)
        if not data:
            message = "the server closed the connection"
            raise ProtocolError(message)
        data = self._unread + data
        answers: list[Answer] = []
        place, end = 0, len(data)
        header_bytes = _FRAME.size
        while end - place >= header_bytes:
            high, low, kind, flags, stream = _FRAME.unpack_from(data, place)
            content = place + header_bytes
            after = content + (high << 8 | low)
            if after > end:
                break
            if kind == DATA:
                self._received_since_update += after - content
                call = self._calls.get(stream)
                if call is not None and call.is_kept:
                    call.kept.append(data[content:after])
            elif kind == HEADERS:
                status = self._status(data[content:after], flags)
                if flags & END_STREAM:
                    self._end(answers, stream, status or "missing")
            else:
                self._other(answers, kind, flags, stream, data[content:after])
            place = after
        self._unread = data[place:]
        if self._received_since_update > WINDOW_MAX // 2:
            update = struct.pack(">I", self._received_since_update)
            self._socket.sendall(_frame(WINDOW_UPDATE, 0, 0, update))
            self._received_since_update = 0
        return answers

    def _end(self, answers: list[Answer], stream: int, status: str) -> None:
        call = self._calls.pop(stream, None)
        if call is not None:
            message = b"".join(call.kept)[_MESSAGE.size :] if call.is_kept else None
            answers.append(Answer(call.number, status, message))

    def _status(self, block: bytes, flags: int) -> str | None:
        """Give the gRPC status among headers; None where there is none.

        Blocks repeat, so what one means is kept until a block changes the table that they refer to.
        """
        if flags & PADDED_OR_PRIORITY or not flags & END_HEADERS:
            message = f"headers with flags {flags:#x} are beyond this client"
            raise ProtocolError(message)
        if block in self._known_blocks:
            return self._known_blocks[block]
        table = self._decoder.header_table
        before = (list(table.dynamic_entries), table.maxsize)
        headers: dict[Any, Any] = dict(self._decoder.decode(block))
        status: str | None = headers.get("grpc-status")
        if (list(table.dynamic_entries), table.maxsize) != before:
            self._known_blocks.clear()
        else:
            self._known_blocks[block] = status
        return status

    def _other(
        self, answers: list[Answer], kind: int, flags: int, stream: int, content: bytes
    ) -> None:
        if kind == WINDOW_UPDATE:
            # Of a stream: its window holds any frame from the beginning.
            if not stream:
                self._send_window += int.from_bytes(content, "big")
                self._send_waiting()
        elif kind in {PING, SETTINGS}:
            if not flags & ACKNOWLEDGED:
                answer = content if kind == PING else b""
                self._socket.sendall(_frame(kind, ACKNOWLEDGED, 0, answer))
        elif kind == RST_STREAM:
            # Of a call that has its status it only says that no more is read of it.
            self._end(answers, stream, STATUS_OF_BROKEN_CALL)
        else:
            message = f"a frame of type {kind:#x} is beyond this client, or the server goes away"
            raise ProtocolError(message)

    def _send_waiting(self) -> None:
        frames: list[bytes] = []
        while self._unsent and len(self._unsent[0][1]) <= self._send_window:
            self._add_frames(frames, *self._unsent.popleft())
        if frames:
            self._socket.sendall(b"".join(frames))


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    length = len(content)
    return _FRAME.pack(length >> 8, length & 0xFF, kind, flags, stream) + content
