"""What Alembic runs for every command: one transaction, one migrator at a time."""

from typing import Final

from alembic import context
from sqlalchemy import Engine, text

from store.migrations import note_steps

_MIGRATION_LOCK: Final = 5_164_001
"""Advisory lock of migrations, so that processes starting together do not migrate together."""


def _run() -> None:
    engine: Engine = context.config.attributes["engine"]
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        context.configure(connection=connection)
        context.run_migrations()
        note_steps(connection)


_run()
