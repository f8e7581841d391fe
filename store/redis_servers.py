"""The servers of a Redis or a Redis Cluster: which has which shard, and which are lost.

What lives here: finding out who has a shard, and not asking servers that do not answer. Nothing is
tried again and again, since whoever asks has PostgreSQL to turn to: with one reply that is late, or
one connection that fails, a server counts as lost and is not asked at all until a thread in the
background has found it answering. In a cluster the other servers go on.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Final

import redis
from redis.exceptions import ClusterDownError

from store.redis_layout import Topology, read_topology, shard_tag
from store.redis_node import RedisNode
from store.redis_place import parse_redis_url
from store.sharding import SHARD_COUNT

PROBE_SECONDS: Final = 0.1
"""How long until it is tried again whether a lost server answers."""

CLOSE_SECONDS_MAX: Final = 5.0
"""How long closing waits for a probe that is under way."""

NO_ANSWER: Final = (redis.ConnectionError, redis.TimeoutError)
"""What a server that does not answer raises."""

_logger = logging.getLogger(__name__)


class RedisServers:
    """The servers that a URL names and those found through them. Safe to be used by threads.

    `by_shard` gives the server of each shard. It is replaced as a whole: whoever asks takes it once
    and looks at a server's `is_lost` before asking it.
    """

    def __init__(self, url: str, reply_seconds_max: float) -> None:
        """Know the servers of `url`, of a cluster all that can be found now.

        Raises ValueError when the URL is none.
        """
        self._place = parse_redis_url(url)
        self._reply_seconds_max = reply_seconds_max
        self._nodes = {url: RedisNode(url, reply_seconds_max) for url in self._place.urls}
        self._asked_last = ""
        self._lock = threading.Lock()
        """Held while nodes or their loss change, and never while waiting for a server."""
        self._discovering = threading.Lock()
        self._closing = threading.Event()
        self._prober: threading.Thread | None = None
        first = self._place.urls[0]
        self._nowhere = RedisNode(first, reply_seconds_max)
        """Stands for the server of a shard that no server is known to have."""
        self._nowhere.is_lost = True
        self.by_shard: tuple[RedisNode, ...] = (self._nodes[first],) * SHARD_COUNT
        if self._place.is_cluster:
            self.by_shard = (self._nowhere,) * SHARD_COUNT
            self._ask_for_topology()
            with self._lock:
                self._probe_if_lost()

    @property
    def is_cluster(self) -> bool:
        """Whether there may be several."""
        return self._place.is_cluster

    def masters(self) -> list[RedisNode]:
        """Give the servers that have shards, each once."""
        return list(dict.fromkeys(self.by_shard))

    def lose(self, node: RedisNode, error: Exception) -> None:
        """Count a server that has shards as lost, as it did not answer."""
        with self._lock:
            if node.is_lost or node not in self.by_shard:
                return
            node.is_lost = True
            node.disconnect_idle()
            _logger.warning("Redis at %s does not answer: %s", node.name, error)
            self._probe_if_lost()

    def discover(self, seen: Sequence[RedisNode]) -> bool:
        """Find out anew who has which shard; tell whether that is other than was `seen`.

        Only one thread at a time asks for it: others do not wait.
        """
        if not self.is_cluster or not self._discovering.acquire(blocking=False):
            return False
        try:
            if self.by_shard is seen:
                self._ask_for_topology()
        finally:
            self._discovering.release()
        return self.by_shard is not seen

    def close(self) -> None:
        """Close all connections."""
        self._closing.set()
        prober = self._prober
        if prober is not None:
            prober.join(CLOSE_SECONDS_MAX)
        with self._lock:
            for node in self._nodes.values():
                node.close()

    def _ask_for_topology(self) -> None:
        """Ask one server after the other, until one replies, for who has which shard."""
        for url in self._urls_in_turn():
            node = self._nodes[url]
            self._asked_last = url
            try:
                reply = node.ask(("CLUSTER", "SLOTS"))
            except NO_ANSWER as error:
                self.lose(node, error)
                continue
            if isinstance(reply, Exception):
                _logger.warning("Redis at %s tells of no cluster: %s", node.name, reply)
                continue
            self._take(read_topology(self._place, url, reply))
            return

    def _urls_in_turn(self) -> list[str]:
        """Begin after the one asked last, as its news may be old; those that are lost come last."""
        with self._lock:
            urls = list(self._nodes)
            after = urls.index(self._asked_last) + 1 if self._asked_last in urls else 0
            in_turn = urls[after:] + urls[:after]
            return sorted(in_turn, key=lambda url: self._nodes[url].is_lost)

    def _take(self, topology: Topology) -> None:
        with self._lock:
            # Those of the URL are kept: they are the way back when all others are gone.
            urls = dict.fromkeys((*self._place.urls, *topology.servers))
            nodes = {
                url: self._nodes.get(url) or RedisNode(url, self._reply_seconds_max) for url in urls
            }
            gone = [node for url, node in self._nodes.items() if url not in nodes]
            by_shard = tuple(
                nodes[url] if url is not None else self._nowhere for url in topology.masters
            )
            self._nodes = nodes
            if by_shard != self.by_shard:
                self.by_shard = by_shard
            self._probe_if_lost()
        for node in gone:
            node.close()

    def _probe_if_lost(self) -> None:
        """See to it that a thread looks after lost servers. The lock MUST be held."""
        is_needed = any(node.is_lost for node in self.by_shard)
        if is_needed and self._prober is None and not self._closing.is_set():
            self._prober = threading.Thread(target=self._probe_on, name="redis-probe", daemon=True)
            self._prober.start()

    def _probe_on(self) -> None:
        """Probe until nothing is lost any more."""
        while not self._closing.wait(PROBE_SECONDS):
            try:
                self._probe_lost()
            except Exception:
                # Whatever it was, who is lost must not stay so because nobody looks any more.
                _logger.exception("looking after Redis failed")
            with self._lock:
                if not any(node.is_lost for node in self.by_shard):
                    self._prober = None
                    return

    def _probe_lost(self) -> None:
        if self.is_cluster:
            with self._discovering:
                self._ask_for_topology()
        a_shard_of = {node: number for number, node in enumerate(self.by_shard)}
        for node, number in a_shard_of.items():
            # A shard that nobody has waits for the topology to tell of a server.
            if node.is_lost and node is not self._nowhere and self._answers(node, number):
                node.is_lost = False
                _logger.warning("Redis at %s answers again", node.name)

    def _answers(self, node: RedisNode, number: int) -> bool:
        """Tell whether a server answers for a shard, and not just that it is there."""
        try:
            reply = node.ask(("EXISTS", shard_tag(number)))
        except NO_ANSWER:
            return False
        return not isinstance(reply, ClusterDownError)
