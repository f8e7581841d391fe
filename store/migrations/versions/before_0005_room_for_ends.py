"""Room in the pages of permissions for rows whose end moves.

Old code survives it: it notices nothing of it.

Revision ID: 0005
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A publication moves the ends of about a third of a person's rows. Where the new one finds room
# beside the old one, no index has to learn of it. Pages that are full already stay as they are.
_ROOM: Final = "ALTER TABLE permission SET (fillfactor = 75)"


def upgrade() -> None:
    """Leave a quarter of each new page free."""
    op.execute(_ROOM)
