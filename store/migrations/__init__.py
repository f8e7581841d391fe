"""The ledger database's schema, step by step, as Alembic migrations.

Steps come in three kinds: those named `before_` run before new code is deployed and old code
survives them; those named `after_` run when no old code is left; those named `alone_` run while no
process runs at all, neither old nor new.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from store.database import APPLICATION_NAME

_HERE: Final = Path(__file__).parent

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


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest schema; nothing is done when it is there already.

    Two processes that upgrade at once wait for each other.
    """
    command.upgrade(_config(engine), "head")


def is_current(engine: Engine) -> bool:
    """Tell whether the database has the schema that this code expects."""
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found == ScriptDirectory.from_config(_config()).get_current_head()


def steps_for_standstill(connection: Connection) -> Sequence[str]:
    """Give the names of the steps still to be taken for which nothing of maywe may be running.

    A database that never had the schema needs none: nothing can be running on it.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        return []
    scripts = ScriptDirectory.from_config(_config())
    names = [Path(script.path).stem for script in scripts.iterate_revisions("head", found)]
    return sorted(name for name in names if not name.startswith(_RUNNING_BESIDE))


def connections_of_others(connection: Connection) -> int:
    """Count the connections to this database, but for this one, that are maywe's."""
    return int(connection.scalar(_OTHERS, {"name": APPLICATION_NAME}) or 0)
