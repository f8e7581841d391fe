"""The ledger database's schema, step by step, as Alembic migrations.

Steps come in three kinds: those named `before_` run before new code is deployed and old code
survives them; those named `after_` run when no old code is left; those named `alone_` run while no
process runs at all, neither old nor new. All steps that are due are one transaction, which keeps
the locks of each to its end: so a `before_` step MUST NOT do anything that takes long, nor change
two tables that every write uses.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from decision.errors import UnavailableError
from store.database import APPLICATION_NAME
from store.schema import schema_step

_HERE: Final = Path(__file__).parent

_logger = logging.getLogger(__name__)

_RUNNING_BESIDE: Final = "before_"
"""How the steps are named that may be taken while code of before runs."""

_OTHERS: Final = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = :name AND pid <> pg_backend_pid()"
)


def _config(engine: Engine | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    if engine is not None:
        config.attributes["engine"] = engine
    return config


LOCK_ATTEMPTS_MAX: Final = 300
LOCK_RETRY_SECONDS: Final = 1.0
"""How often, and after which pause, a migration tries to get the locks that it needs."""

_IN_THE_WAY: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


def upgrade(engine: Engine, *, retry_seconds: float = LOCK_RETRY_SECONDS) -> None:
    """Bring the database to the newest schema; nothing is done when it is there already.

    Two processes that upgrade at once wait for each other. A lock on a table that somebody reads
    for long, as a backup does, is given up soon and tried for again after `retry_seconds`: while it
    is waited for, everybody else waits behind it. Raises UnavailableError when that went on for
    five minutes.
    """
    for attempt in range(1, LOCK_ATTEMPTS_MAX + 1):
        try:
            command.upgrade(_config(engine), "head")
        except DBAPIError as error:
            if not isinstance(error.orig, _IN_THE_WAY):
                raise
            if attempt == 1:
                _logger.warning("a table is in use for long, by a backup perhaps: trying again")
            time.sleep(retry_seconds)
        else:
            return
    message = "tables are in use for long, by a backup perhaps: migrate once that has ended"
    raise UnavailableError(message)


def is_current(engine: Engine) -> bool:
    """Tell whether the database has the schema that this code brings it to."""
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found == _scripts().get_current_head()


def is_usable(connection: Connection) -> bool:
    """Tell whether this code can run on the database's schema.

    It can on its own, and on one of later code if it survives every step in between: so servers may
    be started anew while their replacement by later ones is under way.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    if found == _scripts().get_current_head():
        return True
    later = _steps_of_later_code(connection, found)
    return bool(later) and all(name.startswith(_RUNNING_BESIDE) for name in later)


def is_of_later_code(connection: Connection) -> bool:
    """Tell whether the database has taken steps that this code does not know."""
    found = MigrationContext.configure(connection).get_current_revision()
    return found is not None and found not in _revisions()


def note_steps(connection: Connection) -> None:
    """Write down, in the transaction that migrates, every step taken up to now."""
    steps = [
        {"number": number, "revision": script.revision, "name": Path(script.path).stem}
        for number, script in enumerate(reversed(list(_scripts().walk_revisions())), start=1)
    ]
    connection.execute(insert(schema_step).on_conflict_do_nothing(), steps)


def _steps_of_later_code(connection: Connection, found: str | None) -> Sequence[str]:
    """Give the names of the steps beyond ours; none where that is not known."""
    if found is None or found in _revisions():
        return []
    if connection.scalar(text("SELECT to_regclass('schema_step')")) is None:
        return []
    ours = (
        select(schema_step.c.number)
        .where(schema_step.c.revision == _scripts().get_current_head())
        .scalar_subquery()
    )
    return connection.scalars(select(schema_step.c.name).where(schema_step.c.number > ours)).all()


def _revisions() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def steps_for_standstill(connection: Connection) -> Sequence[str]:
    """Give the names of the steps still to be taken for which nothing of maywe may be running.

    A database that never had the schema needs none: nothing can be running on it.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        return []
    names = [Path(script.path).stem for script in _scripts().iterate_revisions("head", found)]
    return sorted(name for name in names if not name.startswith(_RUNNING_BESIDE))


def connections_of_others(connection: Connection) -> int:
    """Count the connections to this database, but for this one, that are maywe's."""
    return int(connection.scalar(_OTHERS, {"name": APPLICATION_NAME}) or 0)
