"""What the database itself enforces, and that the code's tables are the migrations'."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Final

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from store import migrations
from store.database import draw_recorded_instants, open_engine, run_transaction
from store.schema import metadata
from tests.integration.ledger_builders import Ledger

pytestmark = pytest.mark.integration

APPEND_ONLY: Final = {
    "event": "UPDATE event SET kind = kind",
    "publication": "UPDATE publication SET publisher = publisher",
    "code_number": "UPDATE code_number SET number = number",
}
"""Append-only tables, each with a change of it."""

MAYWE: Final = Path(sys.executable).with_name("maywe")
PROCESSES: Final = 3
DRAWS: Final = 200


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["UPDATE", "DELETE", "TRUNCATE"])
def test_append_only_tables_refuse_every_change(ledger: Ledger, table: str, statement: str) -> None:
    """The database refuses, whoever asks, and nothing is changed."""
    ledger.consent("anna")
    changes = {
        "UPDATE": APPEND_ONLY[table],
        "DELETE": f"DELETE FROM {table}",  # noqa: S608 - a table of ours
        "TRUNCATE": f"TRUNCATE {table}",
    }
    with (
        pytest.raises(DBAPIError, match=f"table {table} is append only: {statement} is refused"),
        ledger.engine.begin() as connection,
    ):
        connection.execute(text(changes[statement]))
    with ledger.engine.connect() as connection:
        assert connection.scalar(text(f"SELECT count(*) FROM {table}"))  # noqa: S608 - as above


def test_the_tables_of_the_code_are_those_of_the_migrations(engine: Engine) -> None:
    """A column that only one of them has would be noticed by nobody; comments are the code's."""
    with engine.connect() as connection:
        parts = set(connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition")))
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, *_: name not in parts}
        )
        differences = compare_metadata(context, metadata)
    operations = [found[0] if isinstance(found, tuple) else found[0][0] for found in differences]
    assert [name for name in operations if not name.endswith("_comment")] == [], differences


def test_migrating_at_once_is_harmless(empty_database_url: str, redis_url: str) -> None:
    """Processes that start together wait for each other, and the later find nothing to do."""
    arguments = ["--postgres-url", empty_database_url, "--redis-url", redis_url]
    processes = [subprocess.Popen([MAYWE, "migrate", *arguments]) for _ in range(PROCESSES)]
    assert [process.wait() for process in processes] == [0] * PROCESSES
    engine = open_engine(empty_database_url)
    assert migrations.is_current(engine)
    engine.dispose()


def test_recorded_instants_never_tie_nor_run_backwards(ledger: Ledger) -> None:
    """Also when several draw at once, several at a time, and when some roll back."""

    def draw(count: int) -> tuple[int, int]:
        first = run_transaction(
            ledger.engine, lambda connection: draw_recorded_instants(connection, count)
        )
        return first, first + count - 1

    with ThreadPoolExecutor(4) as pool:
        drawn = sorted(pool.map(draw, [1 + number % 3 for number in range(DRAWS)]))
    assert all(earlier[1] < later[0] for earlier, later in pairwise(drawn))
    assert draw(1)[0] > drawn[-1][1]


def test_a_draw_that_is_cancelled_leaves_no_lock(ledger: Ledger) -> None:
    """The lock belongs to the session, which goes back to the pool."""
    with ledger.engine.connect() as holder:
        holder.execute(text("SELECT pg_advisory_lock(5164002)"))
        with ledger.engine.connect() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 50"))
            with pytest.raises(psycopg.errors.QueryCanceled):
                draw_recorded_instants(connection, 1)
        holder.execute(text("SELECT pg_advisory_unlock(5164002)"))
        held = holder.scalar(
            text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 5164002")
        )
    assert held == 0
    assert _draws(ledger.engine)


def _draws(engine: Engine) -> bool:
    return run_transaction(engine, lambda connection: draw_recorded_instants(connection, 1)) > 0
