"""Which server of a Redis Cluster has which shard.

What lives here: the slots of shards, and reading what a server says of its cluster, without I/O.
Asking for it is `redis_client`'s business.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis.crc import key_slot

from store.redis_place import RedisPlace, host_of
from store.sharding import SHARD_COUNT


def shard_tag(number: int) -> str:
    """Give the part of a key that decides on its slot in a cluster: the shard, nothing else."""
    return f"{{s{number}}}"


_SLOTS: Final = tuple(key_slot(f"s{number}".encode()) for number in range(SHARD_COUNT))

_UNKNOWN_HOSTS: Final = frozenset({None, b"", b"?"})
"""How a server says that it does not know its own address: it is where it was asked."""


class Topology(NamedTuple):
    """The URL of each shard's master, None where no server has it, and of every server there is."""

    masters: Sequence[str | None]
    servers: Sequence[str]


def read_topology(place: RedisPlace, asked_url: str, slot_ranges: Sequence[Any]) -> Topology:
    """Read the reply of the server at `asked_url` to CLUSTER SLOTS.

    It gives ranges of slots as `[first, last, [host, port, ...] of the master, replicas ...]`.
    """
    masters: list[str | None] = [None] * SHARD_COUNT
    servers: dict[str, None] = {}
    for first, last, *found in slot_ranges:
        urls = [_url(place, asked_url, host, port) for host, port, *_ in found]
        servers.update(dict.fromkeys(urls))
        for number, slot in enumerate(_SLOTS):
            if first <= slot <= last:
                masters[number] = urls[0]
    return Topology(masters, list(servers))


def _url(place: RedisPlace, asked_url: str, host: bytes | None, port: int) -> str:
    is_known = host is not None and host not in _UNKNOWN_HOSTS
    return place.url_of(host.decode() if host and is_known else host_of(asked_url), port)
