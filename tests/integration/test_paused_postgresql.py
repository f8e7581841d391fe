"""A PostgreSQL that stops in the middle of everything: checks fail in bounded time, and recover."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import pytest
from sqlalchemy import Engine, NullPool, QueuePool, create_engine, text

from decision.errors import OverloadedError, UnavailableError
from decision.reasons import Reason
from service.admitting_executor import AdmittingExecutor, standing_aside
from service.embedded import (
    EmbeddedOptions,
    EmbeddedServers,
    embedded_servers,
    temporary_data_directory,
)
from store.cache import Cache
from store.database import open_engine
from store.migrations import upgrade
from store.projector import Projector
from store.reader import PermissionReader, Permissions
from store.sharding import shard_of
from store.shared_reads import READS_IN_FLIGHT_MAX
from store.token import Token
from tests.integration.ledger_builders import leased, opened_ledger, reason_for
from tests.servers import signal_all

pytestmark = pytest.mark.integration

CHECKS: Final = 3 * READS_IN_FLIGHT_MAX
"""More than there are places for reads."""

HANG_SECONDS_MAX: Final = 60.0
"""A bound against hanging, far above what any check may take."""

RECOVERY_POLL_SECONDS: Final = 0.01

SEQ_NEVER_REACHED: Final = 10**9

CHECK_CONNECTIONS: Final = READS_IN_FLIGHT_MAX + 1


@pytest.fixture
def servers() -> Iterator[EmbeddedServers]:
    """Servers that nobody minds being stopped."""
    with temporary_data_directory() as directory:
        options = EmbeddedOptions(data_directory=directory, durable=False)
        with embedded_servers(options) as running:
            upgrade(create_engine(running.postgresql.url, poolclass=NullPool))
            yield running


@contextmanager
def paused(servers: EmbeddedServers) -> Iterator[None]:
    """Keep every process of PostgreSQL from running."""
    engine = create_engine(servers.postgresql.url, poolclass=NullPool)
    with engine.connect() as connection:
        backends = list(connection.scalars(text("SELECT pid FROM pg_stat_activity")))
        own = connection.scalar(text("SELECT pg_backend_pid()"))
    # The first starts the others, and starts none while it is stopped.
    process_ids = [servers.postgresql.process.process_id, *(set(backends) - {own})]
    signal_all(process_ids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(process_ids, signal.SIGCONT)


def read_when_recovered(reader: PermissionReader, customer_id: str) -> Permissions:
    """Read as soon as a read that was stuck has come back and left its place."""
    deadline = time.monotonic() + HANG_SECONDS_MAX
    while True:
        try:
            [found] = reader.read([customer_id])
        except UnavailableError:
            assert time.monotonic() < deadline, "it does not recover"
            time.sleep(RECOVERY_POLL_SECONDS)
        else:
            return found


def wait_until_given_back(engine: Engine) -> None:
    """Wait until every read that was stuck has come back, and so its connection."""
    assert isinstance(engine.pool, QueuePool)
    deadline = time.monotonic() + HANG_SECONDS_MAX
    while engine.pool.checkedout():
        assert time.monotonic() < deadline, "it does not recover"
        time.sleep(RECOVERY_POLL_SECONDS)


def test_checks_of_a_paused_postgresql_fail_and_recover(
    servers: EmbeddedServers, cache: Cache
) -> None:
    """None hangs, be its read sent or waiting for a place, and later ones are answered again."""
    engine = open_engine(servers.postgresql.url, CHECK_CONNECTIONS)
    with opened_ledger(servers.postgresql.url) as ledger:
        ledger.consent("anna")
        reader = PermissionReader(engine, cache, ledger.catalogs, leased())
        [anna] = reader.read(["anna"])
        assert reason_for(anna) is Reason.ALLOWED
        with paused(servers), ThreadPoolExecutor(CHECKS) as pool:
            checks = [pool.submit(reader.read, [f"customer-{number}"]) for number in range(CHECKS)]
            for check in checks:
                with pytest.raises((UnavailableError, OverloadedError)):
                    check.result(HANG_SECONDS_MAX)
        assert reason_for(read_when_recovered(reader, "anna")) is Reason.ALLOWED
        wait_until_given_back(engine)
    engine.dispose()


def test_checks_that_redis_answers_do_not_wait_behind_others(
    servers: EmbeddedServers, cache: Cache
) -> None:
    """However many wait for a PostgreSQL that has stopped, in a pool of fewer threads."""
    engine = open_engine(servers.postgresql.url, CHECK_CONNECTIONS)
    with opened_ledger(servers.postgresql.url) as ledger:
        ledger.consent("anna")
        Projector(ledger.engine, cache).project_pending()
        keeper = leased()
        reader = PermissionReader(
            engine, cache, ledger.catalogs, keeper, while_waiting=standing_aside
        )
        reader.read(["anna"])
        not_shown = Token(keeper.current().epoch, {shard_of("anna"): SEQ_NEVER_REACHED})
        with paused(servers), AdmittingExecutor("checks", CHECKS // 2, 2 * CHECKS) as pool:
            waiting = [pool.submit(reader.read, ["anna"], None, not_shown) for _ in range(CHECKS)]
            [anna] = pool.submit(reader.read, ["anna"]).result(HANG_SECONDS_MAX)
            assert anna.is_from_cache
            assert not any(check.done() for check in waiting)
            for check in waiting:
                with pytest.raises((UnavailableError, OverloadedError)):
                    check.result(HANG_SECONDS_MAX)
        wait_until_given_back(engine)
    engine.dispose()
