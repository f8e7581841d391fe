"""Migrations forward on a running system: servers of the version before go on while it happens.

The version before is a real one: the code of the last commit whose schema the newest steps do not
touch yet, taken from the history of this repository. Where there is no history, that is said.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self

import grpc
import pytest
from maywe.v1 import catalog_pb2, common_pb2, decision_pb2, event_pb2
from sqlalchemy import Engine, inspect, text

from decision.errors import UnavailableError
from service.client import Client, open_client
from service.conversion.timestamps import timestamp
from store import migrations
from store.clocks import wall_clock
from store.database import open_engine
from store.schema import metadata
from tests.integration.command_line import run
from tests.integration.ledger_builders import LONG_AGO, document
from tests.integration.test_serving import PROCESS_SECONDS_MAX
from tests.waiting import until

# Several servers start, and a busy machine takes its time over each.
pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

EARLIER: Final = "5403f0638a1a8cffbeb2cfa45312b3c0f5b60521"
"""The newest commit that knows no step after 0005: no callers, no erasing, no retention."""

ROOT: Final = Path(__file__).parents[2]
CODE: Final = ("decision", "store", "service", "protos")
CALL_SECONDS: Final = 15.0
"""Far above what a call takes on a busy machine, and less than a lock is waited for by default."""

CUSTOMERS: Final = 40
ROUNDS_BETWEEN_MIN: Final = 8
"""Rounds of load that have to come by between two steps, so that each is under load."""


class Version(NamedTuple):
    """Code to run: where it stands, or nowhere in particular for today's."""

    directory: Path | None

    def popen(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `maywe` of this version."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MAYWE_")
        }
        if self.directory is not None:
            # Before whatever is installed.
            places = (self.directory, self.directory / "protos")
            environment["PYTHONPATH"] = os.pathsep.join(map(str, places))
        return subprocess.Popen(
            [sys.executable, "-m", "service.cli", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=self.directory,
        )

    def run(self, *arguments: str) -> None:
        """Run a command to its end."""
        with self.popen(*arguments) as process:
            output, _ = process.communicate(timeout=PROCESS_SECONDS_MAX)
            assert process.returncode == 0, output

    @contextmanager
    def serving(self, role: str, *options: str) -> Iterator[str]:
        """Serve, give the address, and end in order."""
        where = ("--listen=127.0.0.1:0", "--bulk-processes=0")
        with self.popen("serve", role, *where, *options) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert line.startswith("listening on "), line
                yield line.split()[-1]
                assert process.poll() is None, "it died by itself"
                process.send_signal(signal.SIGTERM)
                assert process.wait(PROCESS_SECONDS_MAX) == 0
            finally:
                process.kill()


TODAY: Final = Version(None)


@pytest.fixture(scope="session")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The version before."""
    try:
        packed = subprocess.run(
            ["git", "-C", ROOT, "archive", EARLIER, *CODE],  # noqa: S607 - wherever git is
            capture_output=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"the history of this repository is not here, and so is not {EARLIER[:10]}")
    directory = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(directory, filter="data")
    names = {path.stem for path in (directory / "store/migrations/versions").glob("[a-z]*_0*.py")}
    assert "before_0005_room_for_ends" in names
    assert not any(name.startswith("before_0006") for name in names)
    return Version(directory)


class Load:
    """One who records, revokes and asks in turn, and notes whatever is not as it has to be.

    Everybody who revoked has to be denied by the next check, at whichever server it is; the one who
    never does has to be allowed by every check.
    """

    def __init__(self, decision_addresses: list[str], writer_address: str, name: str) -> None:
        """Write at one server, and ask at all of these."""
        self._clients = [
            open_client(address, writer_address, CALL_SECONDS) for address in decision_addresses
        ]
        self._name = name
        self._stop = threading.Event()
        self._rounds = threading.Semaphore(0)
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._opened = [self._stack.enter_context(client) for client in self._clients]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._stack.close()

    def wait(self) -> None:
        """Wait until so many more rounds came by."""
        while self._rounds.acquire(blocking=False):
            pass
        for _ in range(ROUNDS_BETWEEN_MIN):
            assert self._rounds.acquire(timeout=PROCESS_SECONDS_MAX), self.failures

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            try:
                self._round(number)
            except grpc.RpcError as error:
                self.failures.append(str(error))
            self._rounds.release()

    def _round(self, number: int) -> None:
        customer_id = f"{self._name}-{number % CUSTOMERS}"
        writer = self._opened[0].writer
        writer.RecordConsent(
            event_pb2.RecordConsentRequest(
                event_id=f"{self._name}-consent-{number}",
                customer_id=customer_id,
                obtained_at=timestamp(wall_clock()),
                consent_type="calls",
                value="granted",
            )
        )
        revocation = event_pb2.RevokeRequest(
            event_id=f"{self._name}-revocation-{number}",
            customer_id=customer_id,
            revoked_at=timestamp(wall_clock()),
            selector=common_pb2.Selector(all=True),
        )
        durability = common_pb2.DURABILITY_UNSPECIFIED
        while durability != common_pb2.DURABILITY_EFFECTIVE:
            # Where somebody is slow to hear of it, it is sent again, as clients do.
            durability = writer.Revoke(revocation).acknowledgement.durability
        for client in self._opened:
            self._expect(client, customer_id, common_pb2.VERDICT_DENY)
            self._expect(client, "anna", common_pb2.VERDICT_ALLOW)

    def _expect(self, client: Client, customer_id: str, verdict: int) -> None:
        found = client.decision.MayContact(
            decision_pb2.MayContactRequest(
                customer_id=customer_id, channel="phone", purpose="advertising"
            )
        )
        if found.verdict != verdict:
            self.failures.append(f"{customer_id}: {found}")


@pytest.fixture
def stores(
    earlier: Version, empty_database_url: str, redis_url: str, redis_namespace: str
) -> list[str]:
    """The options that name stores as the version before has made them."""
    options = [
        f"--postgres-url={empty_database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
    ]
    earlier.run("migrate", *options)
    return options


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    """Connections to the stores."""
    opened = open_engine(empty_database_url)
    yield opened
    opened.dispose()


def begin(decision_address: str, writer_address: str) -> None:
    """Publish a catalog, and let Anna consent for good."""
    with open_client(decision_address, writer_address, CALL_SECONDS) as client:
        client.catalog.Publish(
            catalog_pb2.PublishRequest(
                publication_id="first", document=json.dumps(document()), publisher="lawyer"
            )
        )
        consented = client.writer.RecordConsent(
            event_pb2.RecordConsentRequest(
                event_id="anna",
                customer_id="anna",
                obtained_at=timestamp(LONG_AGO),
                consent_type="calls",
                value="granted",
            )
        )
        allowed = client.decision.MayContact(
            decision_pb2.MayContactRequest(
                customer_id="anna",
                channel="phone",
                purpose="advertising",
                token=consented.acknowledgement.token,
            )
        )
        assert allowed.verdict == common_pb2.VERDICT_ALLOW
        deadline = time.monotonic() + PROCESS_SECONDS_MAX
        while not _is_shown(client):
            assert time.monotonic() < deadline


def _is_shown(client: Client) -> bool:
    """Tell whether Anna is allowed without a token, as grants show up by and by."""
    request = decision_pb2.MayContactRequest(
        customer_id="anna", channel="phone", purpose="advertising"
    )
    return bool(client.decision.MayContact(request).verdict == common_pb2.VERDICT_ALLOW)


def test_servers_of_before_go_on_while_it_happens(
    earlier: Version, stores: list[str], engine: Engine
) -> None:
    """They notice nothing, nor do those of today beside them; each heeds what the others record."""
    with ExitStack() as stack:
        writer = stack.enter_context(earlier.serving("writer", *stores))
        decision = stack.enter_context(earlier.serving("decision", *stores))
        begin(decision, writer)
        with Load([decision], writer, "before") as load:
            load.wait()
            assert not migrations.is_current(engine)
            TODAY.run("migrate", *stores)
            assert migrations.is_current(engine)
            load.wait()
            # A decision server, a writer and a worker in one.
            later = stack.enter_context(TODAY.serving("all", *stores))
            with (
                Load([decision, later], later, "by the later writer") as by_later,
                Load([decision, later], writer, "by the earlier writer") as by_earlier,
            ):
                by_later.wait()
                by_earlier.wait()
        assert (load.failures, by_later.failures, by_earlier.failures) == ([], [], [])
    finished = run("ledger", "verify", *stores[:2], "--json", "--processes=1")
    assert finished.status == 0, finished


def test_nobody_waits_behind_a_migration_that_waits(
    earlier: Version, stores: list[str], engine: Engine
) -> None:
    """While a backup reads every table, it tries in vain and lets everybody by; then it is done."""
    with ExitStack() as stack:
        server = stack.enter_context(earlier.serving("all", *stores))
        begin(server, server)
        with Load([server], server, "before") as load:
            load.wait()
            with engine.begin() as backup:
                for table in metadata.sorted_tables:
                    if inspect(backup).has_table(table.name):
                        backup.execute(text(f"LOCK TABLE {table.name} IN ACCESS SHARE MODE"))
                migrating = TODAY.popen("migrate", *stores)
                stack.callback(migrating.kill)
                until(lambda: has_been_refused(engine))
                load.wait()
                assert migrating.poll() is None
                assert not migrations.is_current(engine)
            output, _ = migrating.communicate(timeout=PROCESS_SECONDS_MAX)
            assert migrating.returncode == 0, output
            load.wait()
        assert load.failures == []
    assert migrations.is_current(engine)


def has_been_refused(engine: Engine) -> bool:
    """Tell whether somebody waits for a lock that lets nobody else in."""
    with engine.connect() as connection:
        return bool(
            connection.scalar(
                text(
                    "SELECT count(*) FROM pg_locks JOIN pg_database "
                    "ON pg_locks.database = pg_database.oid "
                    "WHERE datname = current_database() AND NOT granted "
                    "AND mode = 'AccessExclusiveLock'"
                )
            )
        )


def test_a_migration_gives_up_after_a_while(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what is in the way, and nothing of it is done; later it is done."""
    monkeypatch.setattr(migrations, "LOCK_ATTEMPTS_MAX", 2)
    opened = open_engine(database_url)
    with opened.begin() as connection:
        connection.execute(text("DROP TABLE outbox_kept, seen_database"))
        connection.execute(text("DROP INDEX decision_journal_default_ages"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))
    with opened.begin() as writer:
        writer.execute(text("LOCK TABLE decision_journal IN ROW EXCLUSIVE MODE"))
        with pytest.raises(UnavailableError, match="in use for long"):
            migrations.upgrade(opened, retry_seconds=0.0)
        assert not inspect(opened).has_table("outbox_kept")
    migrations.upgrade(opened)
    assert migrations.is_current(opened)
    opened.dispose()
