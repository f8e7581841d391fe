"""Where Redis is: URLs, and what a server tells of its cluster."""

import pytest

from store.redis_layout import read_topology, shard_tag
from store.redis_place import host_of, name_of, parse_redis_url
from store.sharding import SHARD_COUNT

CLUSTER = "redis+cluster://user:secret@one:7000,two:7001/?ssl_ca_certs=/ca"


@pytest.mark.parametrize("url", ["redis://h", "redis://u:p@h:1/3?x=y", "rediss://h", "unix:///s"])
def test_one_server_is_named_as_the_library_takes_it(url: str) -> None:
    """Nothing about it is changed."""
    place = parse_redis_url(url)
    assert not place.is_cluster
    assert place.urls == (url,)


def test_servers_of_a_cluster_share_login_and_options() -> None:
    """Those that are named as well as those that are found later."""
    place = parse_redis_url(CLUSTER)
    assert place.is_cluster
    assert place.urls == (
        "redis://user:secret@one:7000/?ssl_ca_certs=/ca",
        "redis://user:secret@two:7001/?ssl_ca_certs=/ca",
    )
    assert place.url_of("::1", 7002) == "redis://user:secret@[::1]:7002/?ssl_ca_certs=/ca"
    assert parse_redis_url("rediss+cluster://one:1").urls == ("rediss://one:1",)


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "h:6379",
        "redis://one:1,two:2",
        "redis://h:port",
        "redis+cluster://",
        "redis+cluster://one:1,",
        "redis+cluster://one:1,two:x",
        "redis+cluster://one:1/3",
        "unix+cluster:///s",
    ],
)
def test_another_url_is_refused_with_what_would_be_right(url: str) -> None:
    """Of a scheme that is none, without a host or port, with a database that clusters lack."""
    with pytest.raises(ValueError, match="write redis://"):
        parse_redis_url(url)


def test_a_server_is_named_without_its_login() -> None:
    """As logs may be read by many."""
    assert name_of("redis://user:secret@one:7000/0") == "one:7000"
    assert name_of("unix:///run/redis.sock") == "/run/redis.sock"
    assert host_of("redis://user:secret@one:7000/0") == "one"


@pytest.mark.parametrize("unknown", [None, b"", b"?"])
def test_a_topology_gives_the_master_of_each_shard(unknown: bytes | None) -> None:
    """A server that does not know its address is where it was asked; a gap is nobody's."""
    place = parse_redis_url(CLUSTER)
    asked = place.urls[0]
    topology = read_topology(
        place,
        asked,
        [
            [0, 8191, [unknown, 7000, b"id", []], [b"three", 7002, b"id"]],
            [8192, 8300, [b"two", 7001, b"id"]],
        ],
    )
    assert list(topology.servers) == [
        "redis://user:secret@one:7000/?ssl_ca_certs=/ca",
        "redis://user:secret@three:7002/?ssl_ca_certs=/ca",
        "redis://user:secret@two:7001/?ssl_ca_certs=/ca",
    ]
    assert len(topology.masters) == SHARD_COUNT
    assert set(topology.masters) <= {asked, place.urls[1], None}
    assert {asked, None} <= set(topology.masters)


def test_a_shard_has_one_slot() -> None:
    """What is in braces decides on it."""
    assert shard_tag(5) == "{s5}"
