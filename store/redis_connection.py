"""One connection to a Redis server: bytes out, replies in.

What lives here: the one place that uses redis-py's connections. It has them connect, authenticate
and agree on the protocol, for plain, TLS and Unix sockets alike; from then on commands and replies
go over the socket itself, with hiredis to read them: a round trip so takes half of what redis-py's
own way takes.
"""

import socket
import ssl
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool, DefaultParser
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

CONNECT_SECONDS_MAX: Final = 0.5
"""How long connecting may take, where a reply may take longer."""

CONNECTIONS_MAX: Final = 10_000
"""More than a process has threads, which bound the connections in fact."""

BYTES_PER_READ: Final = 64 * 1024


class PackedCommand(NamedTuple):
    """A command that is written already as it is sent."""

    packed: bytes


Command = Sequence[str | bytes | int] | PackedCommand

_NOTHING_YET: Final = object()
"""What the reader gives while a reply is not there completely."""

_MICROSECONDS_PER_SECOND: Final = 1_000_000


class Connector:
    """Makes connections to one server. Safe to be used by several threads."""

    def __init__(self, url: str, reply_seconds_max: float) -> None:
        """Connect to `url` when told to, and wait `reply_seconds_max` for what is awaited."""
        self._reply_seconds_max = reply_seconds_max
        # Only makes connections. Handing them out by its own rules, with a look at the socket
        # before each use, would take as long as the command itself.
        self._maker = ConnectionPool.from_url(
            url,
            protocol=3,
            max_connections=CONNECTIONS_MAX,
            socket_connect_timeout=min(CONNECT_SECONDS_MAX, reply_seconds_max),
            socket_timeout=reply_seconds_max,
            retry=Retry(NoBackoff(), 0),
            # Introducing ourselves takes two round trips.
            driver_info=None,
            # Announcements of a managed service's maintenance: servers of our own make none.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )

    def connect(self) -> "Connection":
        """Connect. Raises redis.ConnectionError and redis.TimeoutError."""
        made: Any = self._maker.make_connection()
        made.connect()
        return Connection(made, self._reply_seconds_max)


def _packed(command: Command) -> bytes:
    if isinstance(command, PackedCommand):
        return command.packed
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]  # its types demand that a tuple may hold more than ours does
    return packed


class Connection:
    """A connection, for one thread at a time.

    Whatever it raises, it MUST be closed then and not be used again: whoever came next would
    receive another's reply.
    """

    def __init__(self, made: Any, reply_seconds_max: float) -> None:  # noqa: ANN401 - redis-py tells no types of it
        """Take over a connection of redis-py, on which everything was agreed."""
        self._made = made
        self._socket: socket.socket = made._sock  # noqa: SLF001 - told in no other way
        self._reader = hiredis.Reader(
            protocolError=redis.ConnectionError,
            replyError=DefaultParser.parse_error,
            notEnoughData=_NOTHING_YET,
        )
        # Kept: to make one of this size for every reply takes longer than to fill it.
        self._buffer = bytearray(BYTES_PER_READ)
        if not isinstance(self._socket, ssl.SSLSocket):
            _let_kernel_time(self._socket, reply_seconds_max)

    def ask(self, command: Command) -> Any:  # noqa: ANN401 - replies are of any shape
        """Send a command and wait for its reply, as `send` and `receive` do."""
        self._send(command.packed if type(command) is PackedCommand else _packed(command))
        return self.receive()

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands. Raises redis.ConnectionError and redis.TimeoutError."""
        self._send(b"".join(map(_packed, commands)))

    def _send(self, packed: bytes) -> None:
        try:
            self._socket.sendall(packed)
        except (TimeoutError, BlockingIOError) as error:
            raise redis.TimeoutError(_LATE_TEXT) from error
        except OSError as error:
            raise redis.ConnectionError(_BROKEN_TEXT) from error

    def receive(self) -> Any:  # noqa: ANN401 - replies are of any shape
        """Wait for a reply, an error that the command met as a value. Raises as `send` does."""
        reply = self._reader.gets()
        while reply is _NOTHING_YET or type(reply) is hiredis.PushNotification:
            # What is pushed answers nothing.
            if reply is _NOTHING_YET:
                self._reader.feed(self._buffer, 0, self._received())  # type: ignore[arg-type]  # its types know no buffers, which it takes
            reply = self._reader.gets()
        if isinstance(reply, redis.ConnectionError):
            # The server is loading, or takes no more connections: it answers nothing for now.
            raise reply
        return reply

    def close(self) -> None:
        """Close it."""
        self._made.disconnect()

    def _received(self) -> int:
        """Wait for bytes, and give how many are in the buffer now."""
        try:
            count = self._socket.recv_into(self._buffer)
        except (TimeoutError, BlockingIOError) as error:
            raise redis.TimeoutError(_LATE_TEXT) from error
        except OSError as error:
            raise redis.ConnectionError(_BROKEN_TEXT) from error
        if not count:
            raise redis.ConnectionError(_BROKEN_TEXT)
        return count


_LATE_TEXT: Final = "Redis takes too long"
_BROKEN_TEXT: Final = "the connection to Redis broke"


def _let_kernel_time(plain: socket.socket, seconds_max: float) -> None:
    """Have the kernel end what takes too long.

    Python's own timeouts ask first, with a call of its own, whether a socket is ready; at each call
    another thread may take the interpreter. TLS is excepted, as it tries again by itself.
    """
    seconds, microseconds = divmod(round(seconds_max * _MICROSECONDS_PER_SECOND), 1_000_000)
    limit = struct.pack("@ll", seconds, microseconds)
    plain.settimeout(None)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
