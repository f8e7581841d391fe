"""One Redis server: its connections, and sending commands and receiving replies.

What lives here: the one place that uses redis-py's connections. Which server has which shard, and
what is done about one that does not answer, is `redis_client`'s business; what is asked, `cache`'s.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from store.redis_place import name_of

CONNECT_SECONDS_MAX: Final = 0.5
"""How long connecting may take, where a reply may take longer."""

CONNECTIONS_MAX: Final = 10_000
"""More than a process has threads, which bound the connections in fact."""

Command = Sequence[str | bytes | int]


class Connection(Protocol):
    """What we use of a connection of redis-py, which tells no types of it."""

    def connect(self) -> None:
        """Connect, and agree on the protocol."""

    def disconnect(self) -> None:
        """Close it; its next use would connect again."""

    def pack_command(self, *command: str | bytes | int) -> Sequence[bytes]:
        """Write a command as bytes."""

    def pack_commands(self, commands: Sequence[Command]) -> Sequence[bytes]:
        """Write commands as bytes, one after the other."""

    def send_packed_command(self, command: Sequence[bytes]) -> None:
        """Send bytes."""

    def read_response(self) -> Any:  # noqa: ANN401 - replies are of any shape
        """Wait for a reply; what is an error is raised."""


class Exchange(NamedTuple):
    """Commands that were sent and whose replies are still to be received."""

    connection: Connection
    commands: Sequence[Command]
    is_reused: bool


class RedisNode:
    """A Redis server. Safe to be used by several threads: each exchange has its own connection.

    `is_lost` is for `redis_client` to set and for everybody to read: a server that is lost is not
    asked. Nothing is sent twice but after a connection broke that had been idle before; then a
    write may have happened.
    """

    def __init__(self, url: str, reply_seconds_max: float) -> None:
        """Connect to `url` when first asked, and wait `reply_seconds_max` for each reply."""
        self.url = url
        self.name = name_of(url)
        self.is_lost = False
        self._is_closed = False
        self._idle: list[Connection] = []
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

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands at once and give their replies, an error that one met as a value.

        Raises redis.ConnectionError and redis.TimeoutError when the server does not answer.
        """
        return self.receive(self.send(commands))

    def send(self, commands: Sequence[Command]) -> Exchange:
        """Send commands; `receive` or `drop` MUST follow. Raises as `ask` does."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._send_anew(commands)
        try:
            _send(connection, commands)
        except redis.ConnectionError:
            return self._send_anew(commands)
        return Exchange(connection, commands, is_reused=True)

    def receive(self, exchange: Exchange) -> list[Any]:
        """Give the replies to what was sent. Raises as `ask` does."""
        try:
            replies = [_receive(exchange.connection) for _ in exchange.commands]
        except redis.ConnectionError:
            exchange.connection.disconnect()
            if not exchange.is_reused:
                raise
            # It broke while it was idle, as when the server was restarted.
            return self.receive(self._send_anew(exchange.commands))
        except BaseException:
            # Whoever came next on this connection would receive our reply.
            exchange.connection.disconnect()
            raise
        self._put_back(exchange.connection)
        return replies

    def drop(self, exchange: Exchange) -> None:
        """Give up waiting for replies."""
        exchange.connection.disconnect()

    def disconnect_idle(self) -> None:
        """Close the connections that nobody is using."""
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:
                return

    def close(self) -> None:
        """Close the connections; those in use are closed after it."""
        self._is_closed = True
        self.disconnect_idle()

    def _send_anew(self, commands: Sequence[Command]) -> Exchange:
        connection: Connection = self._maker.make_connection()
        connection.connect()
        _send(connection, commands)
        return Exchange(connection, commands, is_reused=False)

    def _put_back(self, connection: Connection) -> None:
        self._idle.append(connection)
        if self._is_closed:
            self.disconnect_idle()


def _send(connection: Connection, commands: Sequence[Command]) -> None:
    packed = (
        connection.pack_command(*commands[0])
        if len(commands) == 1
        else connection.pack_commands(commands)
    )
    connection.send_packed_command(packed)


def _receive(connection: Connection) -> Any:  # noqa: ANN401 - replies are of any shape
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error
