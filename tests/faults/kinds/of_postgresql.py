"""Faults of PostgreSQL: killed, restarted, paused, restored from a backup.

What lives here: those of the server itself; broken links to it are with the links.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.faults.history import Restored, now
from tests.faults.kinds.kind import POSTGRESQL, Kind, Occurrence, Scene, wait_seconds

DOWN_SECONDS: Final = (0.1, 1.5)
PAUSED_SECONDS: Final = (0.5, 3.0)
AT_ONCE: Final = (0.0, 0.2)
LOST_SECONDS: Final = (0.5, 2.0)
"""What is written for so long after the backup is lost."""


@contextmanager
def killed(scene: Scene) -> Iterator[Occurrence]:
    """Kill the postmaster; started again, the server recovers what was committed."""
    scene.system.postgresql.child.kill()
    yield Occurrence()
    scene.system.postgresql.start()


@contextmanager
def restarted(scene: Scene) -> Iterator[Occurrence]:
    """End the server in order and start it again."""
    scene.system.postgresql.stop()
    yield Occurrence()
    scene.system.postgresql.start()


@contextmanager
def paused(scene: Scene) -> Iterator[Occurrence]:
    """Stop every process of the server from running for a while."""
    scene.system.postgresql.pause()
    yield Occurrence()
    scene.system.postgresql.resume()


@contextmanager
def restored(scene: Scene) -> Iterator[Occurrence]:
    """Put the server back to a backup, as documented: nobody gets in before the epoch is raised.

    The senders learn of it then, and send again what they sent since the backup.
    """
    system = scene.system
    backup_began_at = now()
    system.postgresql.back_up()
    wait_seconds(scene.chance.uniform(*LOST_SECONDS))
    stopped_at = now()
    for link in system.links_to("postgresql"):
        system.links.cut(link)
    system.postgresql.stop()
    system.postgresql.put_back_up()
    system.postgresql.start()
    system.run_command("epoch", "raise")
    done = Restored(backup_began_at, stopped_at, now())
    scene.history.add(done)
    scene.restores.add(done)
    scene.attention.forget_tokens()
    for link in system.links_to("postgresql"):
        system.links.heal(link)
    lost_seconds = (stopped_at - backup_began_at) / 1e9
    yield Occurrence(f"what was written in {lost_seconds:.1f} s is lost")


KINDS: Final = (
    Kind("PostgreSQL killed", POSTGRESQL, DOWN_SECONDS, killed),
    Kind("PostgreSQL restarted", POSTGRESQL, DOWN_SECONDS, restarted),
    Kind("PostgreSQL paused", POSTGRESQL, PAUSED_SECONDS, paused),
    Kind("PostgreSQL restored from a backup", POSTGRESQL, AT_ONCE, restored),
)
