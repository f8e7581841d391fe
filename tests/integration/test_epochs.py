"""Epochs: raised once by however many notice, and noticed whenever PostgreSQL is another."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, NullPool, create_engine, func, make_url, select, text, update

from decision.errors import UnavailableError
from service.embedded import EmbeddedOptions, embedded_servers, temporary_data_directory
from store import migrations
from store.database import open_engine, reading
from store.epochs import Epoch, guard_identity, raise_epoch, read_epoch, settle_epoch
from store.schema import event, installation, seen_database
from store.writing import begin_recording
from tests.integration.command_line import run
from tests.integration.ledger_builders import Ledger

pytestmark = pytest.mark.integration

AT_ONCE = 4
ROLE = "maywe_test_ordinary"


@contextmanager
def guarded_engine(url: str) -> Iterator[Engine]:
    """An engine that compares the server's identity on each new connection."""
    engine = open_engine(url)
    guard_identity(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def epoch_of(engine: Engine) -> Epoch:
    """The epoch as it stands."""
    with reading(engine) as connection:
        return read_epoch(connection)


def identity_of(engine: Engine) -> tuple[str | None, str | None]:
    """The system identifier and timeline last seen."""
    with reading(engine) as connection:
        row = connection.execute(
            select(installation.c.system_identifier, installation.c.timeline)
        ).one()
        return row.system_identifier, row.timeline


def set_installation(engine: Engine, **values: object) -> None:
    """Pretend that the ledger is of somewhere else."""
    with engine.begin() as connection:
        connection.execute(update(installation).values(**values))


def test_a_new_ledger_is_settled(ledger: Ledger) -> None:
    """Nobody has held a lease before, so there is none to wait for."""
    assert epoch_of(ledger.engine) == Epoch(1, 1)
    assert epoch_of(ledger.engine).is_settled


def test_a_raised_epoch_is_above_and_not_settled(ledger: Ledger) -> None:
    """Until it is settled, and only the epoch that there is can be."""
    raised = raise_epoch(ledger.engine, 1)
    assert raised > 1
    assert not epoch_of(ledger.engine).is_settled
    assert not settle_epoch(ledger.engine, 1)
    assert settle_epoch(ledger.engine, raised)
    assert epoch_of(ledger.engine) == Epoch(raised, raised)
    assert raise_epoch(ledger.engine, raised) > raised
    assert not epoch_of(ledger.engine).is_settled


def test_an_epoch_that_was_raised_already_stays(ledger: Ledger) -> None:
    """Who comes late has seen an older one."""
    raised = raise_epoch(ledger.engine, 1)
    assert raise_epoch(ledger.engine, 1) == raised
    assert epoch_of(ledger.engine).number == raised


def test_an_epoch_is_raised_beyond_one_that_only_others_have_seen(ledger: Ledger) -> None:
    """A ledger that was restored may be behind Redis by an epoch or more."""
    far = 2_000_000_000
    assert raise_epoch(ledger.engine, far) == far + 1


def test_two_restores_of_one_backup_begin_different_epochs(ledger: Ledger) -> None:
    """What the first life left in Redis cannot pass for the second's."""
    first = raise_epoch(ledger.engine, 1)
    set_installation(ledger.engine, epoch=1)
    with ledger.engine.connect() as connection:
        # Nobody restores twice within a second. The clock that counts is PostgreSQL's.
        connection.execute(text("SELECT pg_sleep(1.001)"))
    assert raise_epoch(ledger.engine, 1) > first


def test_several_raise_once(ledger: Ledger) -> None:
    """However many processes notice at the same time."""
    barrier = threading.Barrier(AT_ONCE)

    def raise_together(_: int) -> int:
        barrier.wait()
        return raise_epoch(ledger.engine, 1)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert len(set(pool.map(raise_together, range(AT_ONCE)))) == 1


def test_nothing_is_recorded_across_the_beginning_of_an_epoch(ledger: Ledger) -> None:
    """It waits for whoever records, so that every snapshot that shows it shows the record too."""
    with ThreadPoolExecutor(1) as pool:
        with ledger.engine.begin() as connection:
            recording = begin_recording(connection, ledger.catalogs)
            raising = pool.submit(raise_epoch, ledger.engine, recording.epoch)
            waiting = text(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            while not connection.scalar(waiting):
                assert not raising.done()
            assert epoch_of(ledger.engine).number == recording.epoch
        assert raising.result() > recording.epoch


def test_the_first_server_seen_is_noted(database_url: str) -> None:
    """By both its marks, and nothing else changes."""
    with guarded_engine(database_url) as engine:
        system_identifier, timeline = identity_of(engine)
        assert system_identifier is not None
        assert timeline == "00000001"
        assert epoch_of(engine) == Epoch(1, 1)


def test_the_same_server_begins_no_epoch(database_url: str) -> None:
    """A new connection alone means nothing."""
    for _ in range(2):
        with guarded_engine(database_url) as engine:
            assert epoch_of(engine) == Epoch(1, 1)


@pytest.mark.parametrize("mark", ["system_identifier", "timeline"])
def test_another_server_begins_an_epoch_once(database_url: str, mark: str) -> None:
    """Whichever mark differs, and however many connections notice it at the same time."""
    with guarded_engine(database_url) as engine:
        known = identity_of(engine)
        set_installation(engine, **{mark: "another"})
    barrier = threading.Barrier(AT_ONCE)

    def connect_together(_: int) -> Epoch:
        with guarded_engine(database_url) as engine:
            barrier.wait()
            return epoch_of(engine)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        [epoch] = set(pool.map(connect_together, range(AT_ONCE)))
    assert epoch.number > 1
    assert not epoch.is_settled
    with guarded_engine(database_url) as engine:
        assert identity_of(engine) == known
        assert epoch_of(engine) == epoch


def test_another_database_of_the_server_begins_an_epoch_once(database_url: str) -> None:
    """As when a dump was restored, which brings along all that the ledger knows of its server."""
    with guarded_engine(database_url) as engine:
        assert epoch_of(engine) == Epoch(1, 1)
        with engine.begin() as connection:
            connection.execute(update(seen_database).values(identity="another"))
    for _ in range(2):
        with guarded_engine(database_url) as engine:
            epoch = epoch_of(engine)
    assert epoch.number > 1
    with guarded_engine(database_url) as engine:
        assert epoch_of(engine) == epoch


def test_a_ledger_that_was_migrated_just_now_begins_no_epoch(database_url: str) -> None:
    """Its server was known before, and its database is only noted."""
    with guarded_engine(database_url) as engine, engine.begin() as connection:
        connection.execute(update(seen_database).values(identity=None))
    with guarded_engine(database_url) as engine:
        assert epoch_of(engine) == Epoch(1, 1)
        with reading(engine) as connection:
            assert connection.scalar(select(seen_database.c.identity))


def test_a_database_before_the_first_migration_has_no_identity(empty_database_url: str) -> None:
    """It can be connected to and migrated, and the next connection is the first to be noted."""
    with guarded_engine(empty_database_url) as engine:
        migrations.upgrade(engine)
        assert identity_of(engine) == (None, None)
        engine.dispose()
        assert None not in identity_of(engine)


def test_an_ordinary_role_may_compare_identities(database_url: str) -> None:
    """No right is needed but those on the tables."""
    owner = open_engine(database_url)
    with owner.begin() as connection:
        connection.execute(text(f"DROP ROLE IF EXISTS {ROLE}"))
        connection.execute(text(f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER PASSWORD '{ROLE}'"))
        connection.execute(text(f"GRANT SELECT, UPDATE ON installation, seen_database TO {ROLE}"))
    try:
        url = make_url(database_url).set(username=ROLE, password=ROLE)
        with guarded_engine(url.render_as_string(hide_password=False)) as engine:
            assert None not in identity_of(engine)
    finally:
        with owner.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {ROLE}"))
            connection.execute(text(f"DROP ROLE {ROLE}"))
        owner.dispose()


def test_a_promoted_standby_begins_an_epoch() -> None:
    """A standby is not taken for the primary; once it is the primary it is another."""
    with temporary_data_directory() as directory:
        options = EmbeddedOptions(data_directory=directory, durable=False)
        with (
            embedded_servers(options) as servers,
            guarded_engine(servers.postgresql.url) as engine,
        ):
            migrations.upgrade(engine)
            engine.dispose()
            before = identity_of(engine)
        (directory / "postgresql" / "standby.signal").touch()
        with (
            embedded_servers(options) as servers,
            guarded_engine(servers.postgresql.url) as engine,
        ):
            with pytest.raises(UnavailableError):
                epoch_of(engine)
            standby = create_engine(servers.postgresql.url, poolclass=NullPool)
            with standby.connect() as connection:
                assert connection.scalar(text("SELECT pg_promote()"))
            epoch = epoch_of(engine)
            assert epoch.number > 1
            assert not epoch.is_settled
            system_identifier, timeline = identity_of(engine)
            assert (system_identifier, timeline) == (before[0], "00000002")


def test_a_process_that_outlives_a_restore_forgets_what_it_kept(ledger: Ledger) -> None:
    """Its catalogs and what it takes for marked may be lost with the life they are of."""
    ledger.consent("anna")
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM used_code")
    raise_epoch(ledger.engine, 1)
    ledger.consent("boris")
    with reading(ledger.engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM used_code"))
        assert connection.scalar(select(func.count()).select_from(event)) == 2


def test_the_command_shows_and_raises(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """Both say what follows from it, to people and to programs."""
    stores = (
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
    )
    assert run("epoch", "show", *stores, "--json").json == {"epoch": 1, "isSettled": True}
    raised = run("epoch", "raise", *stores, "--json").json
    assert raised["previousEpoch"] == 1
    assert raised["epoch"] > 1
    shown = run("epoch", "show", *stores)
    assert (shown.status, str(raised["epoch"]) in shown.out, "DURABLE" in shown.out) == (
        0,
        True,
        True,
    )
    said = run("epoch", "raise", *stores)
    assert said.status == 0
    assert f"after epoch {raised['epoch']}" in said.out
    assert "maywe cache warm" in said.out
