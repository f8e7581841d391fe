"""Which steps the database has taken, by name, so that code of before can tell what it may run on.

Old code survives it: it does not look for them.

Revision ID: 0007
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_STEPS: Final = """
CREATE TABLE schema_step (
    number integer PRIMARY KEY,
    revision text COLLATE "C" NOT NULL UNIQUE,
    name text COLLATE "C" NOT NULL
);
"""


def upgrade() -> None:
    """Add the table of steps; whoever migrates fills it (`store.migrations`)."""
    op.execute(_STEPS)
