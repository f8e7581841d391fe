"""A PostgreSQL that takes no more connections: a clear error, nothing half recorded, and recovery.

On a server of these tests' own, whose connections are few enough to take them all.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Final, NamedTuple

import psycopg
import pytest
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from decision.errors import OverloadedError
from decision.events import Consent, NewEvent
from service.embedded import (
    EmbeddedOptions,
    embedded_servers,
    postgresql,
    temporary_data_directory,
)
from store.database import open_engine, reading
from store.outcomes import Recorded
from store.publications import Catalogs
from store.recording import Recorder
from tests.integration.ledger_builders import LONG_AGO, Ledger, opened_ledger
from tests.integration.whole_ledger import everything_in, faults_of_ledger
from tests.servers import migrated_template, new_database
from tests.waiting import until

pytestmark = pytest.mark.integration

CONNECTIONS_MAX: Final = 10
SENDERS: Final = 8
"""More than there are connections for them."""


class Limited(NamedTuple):
    """A ledger, and a writer whose role may have few connections or none."""

    ledger: Ledger
    url: str
    engine: Engine
    recorder: Recorder


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    """A PostgreSQL that takes ten connections, three of them from superusers only."""
    with pytest.MonkeyPatch.context() as patch, temporary_data_directory() as directory:
        patch.setattr(postgresql, "CONNECTIONS_MAX", CONNECTIONS_MAX)
        options = EmbeddedOptions(data_directory=directory, durable=False)
        with embedded_servers(options) as servers:
            url = servers.postgresql.url
            execute(url, "CREATE ROLE writer LOGIN")
            execute(url, f"GRANT {make_url(url).username} TO writer")
            yield url


@pytest.fixture
def limited(server_url: str) -> Iterator[Limited]:
    """A ledger of this test alone, and an ordinary role that writes it."""
    with (
        migrated_template(server_url) as template_url,
        new_database(server_url, template_url=template_url) as database_url,
        opened_ledger(database_url) as ledger,
    ):
        ledger.consent("anna")
        url = make_url(database_url).set(username="writer").render_as_string(hide_password=False)
        engine = open_engine(url)
        try:
            recorder = Recorder(engine, Catalogs(engine), lambda _: None)
            yield Limited(ledger, url, engine, recorder)
        finally:
            engine.dispose()
            execute(server_url, "ALTER ROLE writer CONNECTION LIMIT -1")


def execute(url: str, statement: str) -> None:
    """Execute a statement on a connection of its own."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))


@contextmanager
def every_connection_taken(url: str) -> Iterator[None]:
    """Connect until PostgreSQL takes no more, and let all go at the end."""
    conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with ExitStack() as taken:
        for _ in range(CONNECTIONS_MAX + 1):
            try:
                taken.enter_context(closing(psycopg.connect(conninfo)))
            except psycopg.OperationalError:
                yield
                return
        pytest.fail("there is no limit")


def is_let_in(engine: Engine) -> bool:
    """Tell whether PostgreSQL takes a connection, which the engine then keeps.

    It counts one that was closed until its process has ended.
    """
    try:
        with reading(engine):
            return True
    except OverloadedError:
        return False


def limit_of_role(limited: Limited) -> None:
    """The role has as many connections as it may."""
    execute(limited.ledger.engine.url.render_as_string(), "ALTER ROLE writer CONNECTION LIMIT 2")


def limit_of_database(limited: Limited) -> None:
    """The database has as many connections as it may."""
    url = limited.ledger.engine.url
    execute(url.render_as_string(), f'ALTER DATABASE "{url.database}" CONNECTION LIMIT 3')


def limit_of_server(_: Limited) -> None:
    """The server has as many connections as it may, but for those it keeps for superusers."""


def consent(event_id: str, customer_id: str = "anna") -> NewEvent:
    """A consent to calls."""
    return NewEvent(event_id, customer_id, Consent(LONG_AGO, "calls", "granted"))


@pytest.mark.parametrize("set_limit", [limit_of_role, limit_of_database, limit_of_server])
def test_without_a_connection_nothing_is_recorded(
    limited: Limited, set_limit: Callable[[Limited], None]
) -> None:
    """The limit is told of as one, and the same event is accepted when a connection is free."""
    set_limit(limited)
    with every_connection_taken(limited.url):
        before = everything_in(limited.ledger.engine)
        for _ in range(2):
            with pytest.raises(OverloadedError, match="connection limit"):
                limited.recorder.record_one(consent("late"))
            with pytest.raises(OverloadedError, match="connection limit"), reading(limited.engine):
                pass
        assert everything_in(limited.ledger.engine) == before
    until(lambda: is_let_in(limited.engine))
    assert not limited.recorder.record_one(consent("late")).is_repeated
    assert faults_of_ledger(limited.ledger.engine, limited.ledger.catalogs) == []


def test_when_superusers_have_all_connections_the_limit_is_told_of(limited: Limited) -> None:
    """There are none left then for anybody."""
    superuser_url = limited.ledger.engine.url.render_as_string(hide_password=False)
    limited.ledger.engine.dispose()
    with (
        every_connection_taken(superuser_url),
        pytest.raises(OverloadedError, match="connection limit"),
    ):
        limited.recorder.record_one(consent("late"))
    until(lambda: is_let_in(limited.engine))
    assert not limited.recorder.record_one(consent("late")).is_repeated


def test_senders_beyond_the_limit_are_shed_whole(limited: Limited) -> None:
    """Of many at once those without a connection get the error, and nothing of theirs is there."""
    limit_of_role(limited)
    barrier = threading.Barrier(SENDERS)

    def send(number: int) -> bool:
        barrier.wait()
        try:
            limited.recorder.record_one(consent(f"sent-{number}", f"customer-{number}"))
        except OverloadedError:
            return False
        return True

    with ThreadPoolExecutor(SENDERS) as pool:
        accepted = list(pool.map(send, range(SENDERS)))
    assert any(accepted)
    assert faults_of_ledger(limited.ledger.engine, limited.ledger.catalogs) == []
    for number in range(SENDERS):
        again = limited.recorder.record_one(consent(f"sent-{number}", f"customer-{number}"))
        assert isinstance(again, Recorded)
        assert again.is_repeated == accepted[number]
    assert faults_of_ledger(limited.ledger.engine, limited.ledger.catalogs) == []
