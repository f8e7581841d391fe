"""One Redis server: its connections, and sending commands and receiving replies.

What lives here: which connection is used for what. Which server has which shard, and what is done
about one that does not answer, is `redis_client`'s business; what is asked, `cache`'s.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from store.redis_connection import Command, Connection, Connector
from store.redis_place import name_of


class Exchange(NamedTuple):
    """Commands that were sent and whose replies are still to be received."""

    connection: Connection
    commands: Sequence[Command]
    may_be_sent_anew: bool


class RedisNode:
    """A Redis server. Safe to be used by several threads: each exchange has its own connection.

    `is_lost` is for `redis_client` to set and for everybody to read: a server that is lost is not
    asked. Nothing is sent twice but after a connection broke that nobody had awaited anything of:
    it was idle before, or its replies waited for who asked. Then a write may have happened.
    """

    def __init__(self, url: str, reply_seconds_max: float) -> None:
        """Connect to `url` when first asked, and wait `reply_seconds_max` for each reply."""
        self.url = url
        self.name = name_of(url)
        self.is_lost = False
        self._is_closed = False
        self._idle: list[Connection] = []
        self._connector = Connector(url, reply_seconds_max)

    def ask(self, command: Command) -> Any:  # noqa: ANN401 - replies are of any shape
        """Send a command and give its reply, an error that it met as a value.

        Raises redis.ConnectionError and redis.TimeoutError when the server does not answer.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            return self.receive(self._send_anew((command,)))[0]
        try:
            reply = connection.ask(command)
        except redis.ConnectionError:
            connection.close()
            # It broke while it was idle, as when the server was restarted.
            return self.receive(self._send_anew((command,)))[0]
        except BaseException:
            connection.close()
            raise
        self._put_back(connection)
        return reply

    def send(self, commands: Sequence[Command]) -> Exchange:
        """Send commands; `receive` or `drop` MUST follow, however late. Raises as `ask` does."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._send_anew(commands)._replace(may_be_sent_anew=True)
        try:
            connection.send(commands)
        except redis.ConnectionError:
            connection.close()
            return self._send_anew(commands)._replace(may_be_sent_anew=True)
        except BaseException:
            connection.close()
            raise
        return Exchange(connection, commands, may_be_sent_anew=True)

    def receive(self, exchange: Exchange) -> list[Any]:
        """Give the replies to what was sent. Raises as `ask` does."""
        try:
            replies = [exchange.connection.receive() for _ in exchange.commands]
        except redis.ConnectionError:
            exchange.connection.close()
            if not exchange.may_be_sent_anew:
                raise
            # It broke while it was idle or its replies waited, as when the server was restarted or
            # closes connections of who does not read. Whether it answers is seen by asking it.
            return self.receive(self._send_anew(exchange.commands))
        except BaseException:
            # Whoever came next on this connection would receive our reply.
            exchange.connection.close()
            raise
        self._put_back(exchange.connection)
        return replies

    def drop(self, exchange: Exchange) -> None:
        """Give up waiting for replies."""
        exchange.connection.close()

    def disconnect_idle(self) -> None:
        """Close the connections that nobody is using."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def close(self) -> None:
        """Close the connections; those in use are closed after it."""
        self._is_closed = True
        self.disconnect_idle()

    def _send_anew(self, commands: Sequence[Command]) -> Exchange:
        connection = self._connector.connect()
        try:
            connection.send(commands)
        except BaseException:
            connection.close()
            raise
        return Exchange(connection, commands, may_be_sent_anew=False)

    def _put_back(self, connection: Connection) -> None:
        self._idle.append(connection)
        if self._is_closed:
            self.disconnect_idle()
