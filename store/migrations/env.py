"""What Alembic runs for every command: one transaction, one migrator at a time."""

from typing import Final

from alembic import context
from sqlalchemy import Engine, text

from store.migrations import note_steps

_MIGRATION_LOCK: Final = 5_164_001
"""Advisory lock of migrations, so that processes starting together do not migrate together."""

# While a lock on a table is waited for that lets nobody else in, everybody else waits behind it: no
# longer than a lease can do without being renewed. What takes long by itself may.
_PATIENCE: Final = (
    text("SET LOCAL lock_timeout = '200ms'"),
    text("SET LOCAL statement_timeout = 0"),
)


def _run() -> None:
    engine: Engine = context.config.attributes["engine"]
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        for statement in _PATIENCE:
            connection.execute(statement)
        context.configure(connection=connection)
        context.run_migrations()
        note_steps(connection)


_run()
