"""The campaign's PostgreSQL: a real one on loopback, that is killed, paused, and restored.

What lives here: how its data directory is made, backed up and put back, and when it is ready.
Tables and migrations are the product's.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import psycopg

from service.embedded.account import ServerAccount
from service.embedded.binaries import ServerBinaries
from service.embedded.directories import make_private_directory
from service.embedded.process import run_to_end
from tests.faults.children import Child, descendants
from tests.servers import signal_all

ROLE: Final = "maywe"
DATABASE: Final = "postgres"
CONNECTIONS_MAX: Final = 150
INITIALISATION_SECONDS_MAX: Final = 120.0
READY_SECONDS_MAX: Final = 60.0
READY_POLL_SECONDS: Final = 0.02


class Postgresql:
    """One PostgreSQL on a port of loopback. Not forced to disk: only its process is ever killed."""

    def __init__(
        self, binaries: ServerBinaries, account: ServerAccount, directory: Path, port: int
    ) -> None:
        """Keep everything in `directory`."""
        self._binaries = binaries
        self._account = account
        self._data = directory / "postgresql"
        self._backup = directory / "backup"
        self.port = port
        self.child = Child(
            "postgresql",
            [
                str(binaries.postgres),
                "-D",
                str(self._data),
                "--listen-addresses=127.0.0.1",
                "--unix-socket-directories=",
                f"--port={port}",
                f"--max-connections={CONNECTIONS_MAX}",
                "--fsync=off",
                "--timezone=UTC",
                "--log-timezone=UTC",
            ],
            directory / "postgresql.log",
            directory,
            account,
        )
        self._paused: list[int] = []

    @property
    def has_backup(self) -> bool:
        """Whether there is a backup to restore."""
        return self._backup.exists()

    def initialise(self) -> None:
        """Make the data directory."""
        make_private_directory(self._data, self._account)
        made = run_to_end(
            self._account,
            [
                str(self._binaries.initdb),
                f"--pgdata={self._data}",
                f"--username={ROLE}",
                # Whoever reaches loopback is let in: the data is made up and gone in minutes.
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-sync",
            ],
            working_directory=self._data.parent,
            timeout_seconds=INITIALISATION_SECONDS_MAX,
        )
        assert made.returncode == 0, made.stdout

    def start(self) -> None:
        """Start the server and wait until it takes connections.

        One whose postmaster was killed leaves processes that end a little later; until then the
        next one refuses to start, so it is started again.
        """
        deadline = time.monotonic() + READY_SECONDS_MAX
        self.child.start()
        while not self._is_ready():
            assert time.monotonic() < deadline, f"see {self.child.log_path}"
            if not self.child.is_running:
                self.child.start()
            time.sleep(READY_POLL_SECONDS)

    def stop(self) -> None:
        """End the server in order, if it runs."""
        self.child.stop(signal.SIGINT)

    def pause(self) -> None:
        """Stop every process of the server from running."""
        # The postmaster first, so that none is started meanwhile.
        self.child.pause()
        self._paused = descendants(self.child.process_id)
        signal_all(self._paused, signal.SIGSTOP)

    def resume(self) -> None:
        """Let every process run on."""
        signal_all(self._paused, signal.SIGCONT)
        self._paused = []
        self.child.resume()

    def back_up(self) -> None:
        """Copy the running server's data, as it stands at some instant before this returns."""
        shutil.rmtree(self._backup, ignore_errors=True)
        program = self._binaries.initdb.with_name("pg_basebackup")
        made = subprocess.run(
            [
                str(program),
                f"--pgdata={self._backup}",
                "--host=127.0.0.1",
                f"--port={self.port}",
                f"--username={ROLE}",
                "--checkpoint=fast",
                "--no-sync",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
        assert made.returncode == 0, made.stdout

    def put_back_up(self) -> None:
        """Replace the data of the stopped server by the backup."""
        shutil.rmtree(self._data)
        self._backup.rename(self._data)
        _give(self._data, self._account)

    def _is_ready(self) -> bool:
        try:
            psycopg.connect(
                host="127.0.0.1", port=self.port, user=ROLE, dbname=DATABASE, connect_timeout=2
            ).close()
        except psycopg.OperationalError:
            return False
        return True


def _give(path: Path, account: ServerAccount) -> None:
    if account.is_own:
        return
    for directory, _, names in os.walk(path):
        for name in ("", *names):
            os.chown(
                Path(directory) / name,
                account.user_id,
                account.group_id,
                follow_symlinks=False,
            )
