"""Faults of Redis: killed, emptied, paused, back from an older snapshot, failed over while behind.

What lives here: those of the nodes themselves; broken links to them are with the links.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.faults.kinds.kind import REDIS, Kind, Occurrence, Scene, wait_seconds
from tests.faults.system import REPLICATION_LINK
from tests.waiting import until

DOWN_SECONDS: Final = (0.5, 3.0)
EMPTIED_SECONDS: Final = (0.2, 1.5)
BEHIND_SECONDS: Final = (0.5, 1.5)


@contextmanager
def killed(scene: Scene) -> Iterator[Occurrence]:
    """Kill the master; it comes back empty."""
    master = scene.system.redis_nodes[0]
    master.child.kill()
    yield Occurrence(master.child.name)
    master.start()


@contextmanager
def emptied(scene: Scene) -> Iterator[Occurrence]:
    """Remove every key."""
    master = scene.system.redis_nodes[0]
    occurrence = Occurrence(master.child.name)
    occurrence.was_injected = master.empty()
    yield occurrence


@contextmanager
def paused(scene: Scene) -> Iterator[Occurrence]:
    """Stop the master from running for a while."""
    master = scene.system.redis_nodes[0]
    master.child.pause()
    yield Occurrence(master.child.name)
    master.child.resume()


@contextmanager
def gone_back(scene: Scene) -> Iterator[Occurrence]:
    """Kill the master and start it from a snapshot that is older than what it held."""
    master = scene.system.redis_nodes[0]
    if not master.has_snapshot:
        master.keep_snapshot()
        wait_seconds(scene.chance.uniform(*BEHIND_SECONDS))
    master.child.kill()
    master.start(is_from_snapshot=True)
    yield Occurrence(master.child.name)
    master.keep_snapshot()


@contextmanager
def failed_over(scene: Scene) -> Iterator[Occurrence]:
    """Let the replica fall behind, kill the master, and promote the replica."""
    system = scene.system
    old, new = system.redis_nodes
    system.links.stall(REPLICATION_LINK)
    wait_seconds(scene.chance.uniform(*BEHIND_SECONDS))
    old.child.kill()
    new.lead()
    system.links.cut(REPLICATION_LINK)
    for link in system.links_to("redis"):
        system.links.point(link, new.port)
    system.redis_nodes[:] = [new, old]
    yield Occurrence(f"to {new.child.name}")
    old.start()
    replication_port = system.replication_port
    system.links.point(REPLICATION_LINK, new.port)
    system.links.heal(REPLICATION_LINK)
    old.follow(replication_port)
    until(old.is_in_step, "the new replica does not hear its master")


KINDS: Final = (
    Kind("Redis killed", REDIS, DOWN_SECONDS, killed),
    Kind("Redis emptied", REDIS, EMPTIED_SECONDS, emptied),
    Kind("Redis paused", REDIS, DOWN_SECONDS, paused),
    Kind("Redis from an older snapshot", REDIS, EMPTIED_SECONDS, gone_back),
    Kind("replica promoted while behind", REDIS, DOWN_SECONDS, failed_over),
)
