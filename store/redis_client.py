"""The client of a Redis or a Redis Cluster: sends what is asked of a shard to the server with it.

What lives here: sending commands and scripts, and what an error in place of a reply means. Which
server has which shard is `redis_servers`' business; what is asked, `cache`'s.

A shard is asked at its master only, as all its keys are in one slot: a replica answers with MOVED,
as we never tell it that old answers will do.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import redis
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)

from decision.errors import UnavailableError
from store.redis_connection import Command
from store.redis_node import Exchange, RedisNode
from store.redis_servers import NO_ANSWER, RedisServers

CHECK_REPLY_SECONDS_MAX: Final = 0.25
"""How long a check waits for Redis: a hundred times what a reply takes, and longer than a healthy
server pauses, as when it forks to save. A false alarm costs a moment of asking PostgreSQL."""

WRITE_REPLY_SECONDS_MAX: Final = 2.0
"""How long whoever fills Redis waits: their calls are long, and no check waits for them."""

ATTEMPTS_MAX: Final = 2
"""The second is for a shard that has moved to another server."""

# Redis 6 wraps what a command within a script met into an error of the script.
_READ_ONLY_MARK: Final = "-READONLY "
_FULL_MARK: Final = "-OOM "

_LOST_TEXT: Final = "Redis does not answer: try again later"
_FULL_TEXT: Final = "Redis is full: give it more memory"
_MOVING_TEXT: Final = "Redis moves the shard to another server just now: try again later"
_CLUSTER_TEXT: Final = "Redis is one of a cluster: name it redis+cluster://HOST:PORT"
_REFUSED_TEXT: Final = "Redis refuses what it is sent: check its version and the account's rights"


class ShardUnavailableError(UnavailableError):
    """A shard can not be asked for at present; for all that is known, others can."""


class Script:
    """A Lua script, which a server that was sent it once knows by its digest."""

    def __init__(self, text: str) -> None:
        """Prepare a script; nothing is sent."""
        self.text = text
        # Redis names scripts so; nothing about it is secret.
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class _Sent(NamedTuple):
    """Commands for some shards that a server was sent."""

    node: RedisNode
    numbers: Sequence[int]
    exchange: Exchange


class UnderWay(NamedTuple):
    """Commands that were sent and whose replies are still to be received.

    `replies` are the errors that sending met already.
    """

    commands: Mapping[int, Command]
    by_shard: Sequence[RedisNode]
    replies: Mapping[int, Any]
    exchanges: Sequence[_Sent]


class RedisClient:
    """Asks the servers that have the shards. Safe to be used by several threads.

    Every method raises UnavailableError: at once while a server that it needs is lost, and when one
    does not reply in time, which loses it. What was sent may then have been done or not.
    """

    def __init__(self, url: str, reply_seconds_max: float) -> None:
        """Ask the servers of `url`, and wait for each reply `reply_seconds_max` at most."""
        self._servers = RedisServers(url, reply_seconds_max)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._servers.close()

    @property
    def is_lost(self) -> bool:
        """Whether no shard can be asked for at present."""
        return all(node.is_lost for node in self._servers.masters())

    def is_shard_lost(self, number: int) -> bool:
        """Tell whether a shard can not be asked for at present."""
        return self._servers.by_shard[number].is_lost

    def ask(self, number: int, command: Command) -> Any:  # noqa: ANN401 - replies are of any shape
        """Send a command on keys of a shard and give the reply."""
        reply = self._ask(number, command)
        if isinstance(reply, Exception):
            raise self._unavailable(number, reply) from reply
        return reply

    def run(
        self,
        number: int,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[str | bytes | int],
    ) -> Any:  # noqa: ANN401 - replies are of any shape
        """Run a script on keys of a shard and give the reply."""
        reply = self._ask(number, ("EVALSHA", script.digest, len(keys), *keys, *arguments))
        if isinstance(reply, NoScriptError):
            # The server was restarted, or was a replica before.
            reply = self._ask(number, ("EVAL", script.text, len(keys), *keys, *arguments))
        if isinstance(reply, Exception):
            raise self._unavailable(number, reply) from reply
        return reply

    def ask_each(self, commands: Mapping[int, Command]) -> dict[int, Any]:
        """Send a command on keys of each of some shards, all at once, and give the replies.

        A shard that can not be asked for is left out; UnavailableError means that none could.
        """
        return self.receive_each(self.send_each(commands))

    def send_each(self, commands: Mapping[int, Command]) -> UnderWay:
        """Send a command on keys of each of some shards, all at once, without awaiting a reply.

        `receive_each` or `drop` MUST follow.
        """
        by_shard = self._servers.by_shard
        return UnderWay(commands, by_shard, *self._send_each(commands, by_shard))

    def receive_each(self, sent: UnderWay) -> dict[int, Any]:
        """Give the replies to what was sent; as `ask_each`."""
        commands = sent.commands
        replies = {**sent.replies} | self._receive_each(sent.exchanges)
        moved = [number for number, reply in replies.items() if isinstance(reply, MovedError)]
        if moved and self._servers.discover(sent.by_shard):
            again = {number: commands[number] for number in moved}
            problems, exchanges = self._send_each(again, self._servers.by_shard)
            replies |= problems | self._receive_each(exchanges)
        answered = {}
        problem: UnavailableError | None = None
        for number, reply in replies.items():
            if isinstance(reply, Exception):
                problem = self._unavailable(number, reply)
                problem.__cause__ = reply
            else:
                answered[number] = reply
        if commands and not answered:
            raise problem if problem is not None else UnavailableError(_LOST_TEXT)
        return answered

    def drop(self, sent: UnderWay) -> None:
        """Give up waiting for replies."""
        _drop(sent.exchanges)

    def scan(self, pattern: str, keys_per_step: int) -> Iterator[bytes]:
        """Go through the keys that match a pattern, on all servers, some perhaps twice."""
        for node in self._servers.masters():
            cursor: bytes | int = 0
            while True:
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", keys_per_step)
                cursor, keys = self._ask_server(node, command)
                yield from keys
                if int(cursor) == 0:
                    break

    def memory_reports(self) -> dict[str, str]:
        """Give what each server reports of its memory, as lines `name:value`."""
        reports = {}
        for node in self._servers.masters():
            report = self._ask_server(node, ("INFO", "memory"))
            reports[node.name] = report.decode() if isinstance(report, bytes) else str(report)
        return reports

    def _ask(self, number: int, command: Command) -> Any:  # noqa: ANN401 - replies are of any shape
        """Give the reply, an error that the command met as a value."""
        reply: Any = None
        for _ in range(ATTEMPTS_MAX):
            by_shard = self._servers.by_shard
            node = by_shard[number]
            if node.is_lost:
                raise self._error(_LOST_TEXT)
            try:
                reply = node.ask(command)
            except NO_ANSWER as error:
                self._servers.lose(node, error)
                raise self._error(_LOST_TEXT) from error
            if not isinstance(reply, MovedError) or not self._servers.discover(by_shard):
                break
        return reply

    def _ask_server(self, node: RedisNode, command: Command) -> Any:  # noqa: ANN401 - as above
        if node.is_lost:
            raise UnavailableError(_LOST_TEXT)
        try:
            reply = node.ask(command)
        except NO_ANSWER as error:
            self._servers.lose(node, error)
            raise UnavailableError(_LOST_TEXT) from error
        if isinstance(reply, Exception):
            raise UnavailableError(_REFUSED_TEXT) from reply
        return reply

    def _send_each(
        self, commands: Mapping[int, Command], by_shard: Sequence[RedisNode]
    ) -> tuple[dict[int, Any], list[_Sent]]:
        """Send to all servers that are not lost; give the errors that some met, and the rest.

        Everything is sent before the first reply is awaited: one slow server costs its time once.
        """
        by_node: dict[RedisNode, list[int]] = {}
        for number in commands:
            by_node.setdefault(by_shard[number], []).append(number)
        problems: dict[int, Any] = {}
        under_way: list[_Sent] = []
        is_complete = False
        try:
            for node, numbers in by_node.items():
                if node.is_lost:
                    continue
                try:
                    sent = node.send([commands[number] for number in numbers])
                except NO_ANSWER as error:
                    self._servers.lose(node, error)
                    problems.update(dict.fromkeys(numbers, error))
                else:
                    under_way.append(_Sent(node, numbers, sent))
            is_complete = True
        finally:
            if not is_complete:
                _drop(under_way)
        return problems, under_way

    def _receive_each(self, under_way: Sequence[_Sent]) -> dict[int, Any]:
        """Give the replies of the servers, an error as a value."""
        left = list(under_way)
        replies: dict[int, Any] = {}
        try:
            while left:
                node, numbers, sent = left.pop()
                try:
                    replies.update(zip(numbers, node.receive(sent), strict=True))
                except NO_ANSWER as error:
                    self._servers.lose(node, error)
                    replies.update(dict.fromkeys(numbers, error))
        finally:
            _drop(left)
        return replies

    def _unavailable(self, number: int, error: Exception) -> UnavailableError:
        """Say what an error means that a command on keys of a shard met, and heed it."""
        node = self._servers.by_shard[number]
        if isinstance(error, ClusterDownError):
            self._servers.lose(node, error)
        elif isinstance(error, ReadOnlyError) or _READ_ONLY_MARK in str(error):
            # Behind the same address there may be another server by now, which is the master.
            node.disconnect_idle()
        elif isinstance(error, MovedError) and not self._servers.is_cluster:
            return UnavailableError(_CLUSTER_TEXT)
        elif isinstance(error, AskError | TryAgainError):
            # Its keys are in two places: neither can answer for record and meta together.
            return self._error(_MOVING_TEXT)
        elif isinstance(error, OutOfMemoryError) or _FULL_MARK in str(error):
            return self._error(_FULL_TEXT)
        elif isinstance(error, redis.ResponseError):
            return UnavailableError(_REFUSED_TEXT)
        return self._error(_LOST_TEXT)

    def _error(self, text: str) -> UnavailableError:
        """Make the error of one shard."""
        return ShardUnavailableError(text) if self._servers.is_cluster else UnavailableError(text)


def _drop(under_way: Iterable[_Sent]) -> None:
    for node, _, exchange in under_way:
        node.drop(exchange)


def open_client(url: str, reply_seconds_max: float = WRITE_REPLY_SECONDS_MAX) -> RedisClient:
    """Open a client of the Redis or the cluster at `url` (`redis_place`), there or not.

    Raises ValueError when the URL is none.
    """
    return RedisClient(url, reply_seconds_max)
