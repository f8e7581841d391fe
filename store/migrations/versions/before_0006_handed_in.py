"""Documents that were handed in for publication by somebody else.

Old code survives it: it does not look for them.

Revision ID: 0006
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Of a document only the hash: it is published whole, or it is nobody's business what it said.
_HANDED_IN: Final = """
CREATE TABLE handed_in_document (
    document_hash bytea NOT NULL,
    newest_number integer NOT NULL,
    caller text COLLATE "C" NOT NULL,
    handed_in_at bigint NOT NULL,
    PRIMARY KEY (document_hash, newest_number, caller)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON handed_in_document
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE handed_in_document ENABLE ALWAYS TRIGGER append_only;
"""


def upgrade() -> None:
    """Add the table of handed in documents."""
    op.execute(_HANDED_IN)
