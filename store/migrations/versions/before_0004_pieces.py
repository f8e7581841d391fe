"""Pieces of bulk work that processes hand over to each other.

Old code survives it: it neither makes pieces nor looks for them.

Revision ID: 0004
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Unlogged: whoever handed a piece over waits for it on a connection, and a crash of PostgreSQL that
# empties the table ends that too. What was done of it is in logged tables.
_PIECES: Final = """
CREATE UNLOGGED TABLE work_piece (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    owner text COLLATE "C" NOT NULL,
    claim uuid NOT NULL,
    payload bytea NOT NULL,
    outcome bytea,
    staged_at bigint NOT NULL
);
ALTER TABLE work_piece ALTER COLUMN payload SET STORAGE EXTERNAL;
"""

# None until new code claims the import. Old code records by itself and hands nothing over: for it,
# that the position is not where it left it is enough to notice that the import is another's.
_CLAIM: Final = "ALTER TABLE import_progress ADD COLUMN claim uuid"


def upgrade() -> None:
    """Add the table of pieces, and whose an import is."""
    op.execute(_PIECES)
    op.execute(_CLAIM)
