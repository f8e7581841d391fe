"""The campaign's Redis: a master and a replica that lose, keep and exchange what they hold.

What lives here: two nodes on loopback, which of them is the master, and their snapshots. Keys are
the product's.
"""

import shutil
from pathlib import Path
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.embedded.account import ServerAccount
from service.embedded.binaries import ServerBinaries
from service.embedded.directories import make_private_directory
from tests.faults.children import Child
from tests.waiting import until

SNAPSHOT_NAME: Final = "dump.rdb"

CLIENT_SECONDS_MAX: Final = 10.0
"""How long the harness itself waits for a node, which another fault may have paused."""


class RedisNode:
    """One Redis on a port of loopback; it starts empty unless a snapshot is put in."""

    def __init__(
        self,
        name: str,
        binaries: ServerBinaries,
        account: ServerAccount,
        directory: Path,
        port: int,
    ) -> None:
        """Keep everything in a directory of its own below `directory`."""
        self._account = account
        self._data = directory / name
        self._kept = directory / f"{name}.rdb"
        self.port = port
        settings = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(self._data),
            "save": '""',
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "repl-diskless-sync": "yes",
            "repl-diskless-sync-delay": "0",
            "repl-timeout": "5",
        }
        # From a file: a replica is told its master before it first answers.
        self._configuration = directory / f"{name}.conf"
        self._configuration.write_text(
            "".join(f"{key} {value}\n" for key, value in settings.items())
        )
        self.child = Child(
            name,
            [str(binaries.redis_server), str(self._configuration)],
            directory / f"{name}.log",
            directory,
            account,
        )
        make_private_directory(self._data, account)

    @property
    def has_snapshot(self) -> bool:
        """Whether a snapshot was kept."""
        return self._kept.exists()

    def start(self, *, is_from_snapshot: bool = False) -> None:
        """Start empty, or from the snapshot that was kept, and wait until it answers."""
        snapshot = self._data / SNAPSHOT_NAME
        snapshot.unlink(missing_ok=True)
        if is_from_snapshot:
            shutil.copyfile(self._kept, snapshot)
            shutil.chown(snapshot, self._account.user_id, self._account.group_id)
        self.child.start()
        until(self._is_ready, f"{self.child.name} does not answer")

    def keep_snapshot(self) -> None:
        """Keep what the node holds now."""
        with self.client() as client:
            client.save()
        shutil.copyfile(self._data / SNAPSHOT_NAME, self._kept)

    def empty(self) -> bool:
        """Remove every key; false when another fault keeps the node from answering."""
        try:
            with self.client() as client:
                client.flushall()
        except redis.RedisError:
            return False
        return True

    def client(self) -> redis.Redis:
        """Open a client past every proxy, which tries once: the node may be kept from answering."""
        return redis.Redis(
            port=self.port, socket_timeout=CLIENT_SECONDS_MAX, retry=Retry(NoBackoff(), 0)
        )

    def follow(self, port: int) -> None:
        """Become a replica of the node that is reached at a port of loopback."""
        with self.client() as client:
            client.replicaof("127.0.0.1", str(port))

    def lead(self) -> None:
        """Become a master with what it holds."""
        with self.client() as client:
            client.replicaof("NO", "ONE")

    def is_in_step(self) -> bool:
        """Tell whether it is a replica that hears its master."""
        with self.client() as client:
            return str(client.info("replication").get("master_link_status")) == "up"

    def _is_ready(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
