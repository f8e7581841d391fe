"""The ledger database's schema, step by step, as Alembic migrations.

Steps come in three kinds: those named `before_` run before new code is deployed and old code
survives them; those named `after_` run when no old code is left; those named `alone_` run while no
process runs at all, neither old nor new.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

_HERE: Final = Path(__file__).parent


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
