"""From where on each outbox is kept, what is old in the journal, and which database a ledger is in.

Old code survives it: it prunes nothing, and compares the server alone. What later code prunes, an
old decision process has seen applied days before, unless it could not read Redis all that time.

Revision ID: 0010
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Beside the shards and not in them: those rows every write locks.
_KEPT: Final = """
CREATE TABLE outbox_kept (
    shard smallint PRIMARY KEY,
    after_seq bigint NOT NULL
);
INSERT INTO outbox_kept
    SELECT number, coalesce(
        (SELECT outbox.seq - 1 FROM outbox WHERE outbox.shard = number ORDER BY outbox.seq LIMIT 1),
        shard.seq
    )
    FROM shard;
"""

# Small, and read only where old rows may be: each block of pages says from when to when it is. It
# is made in a moment, as the step before has made the table.
_JOURNAL_AGES: Final = """
CREATE INDEX decision_journal_default_ages ON decision_journal_default
    USING brin (answered_at) WITH (autosummarize = on);
"""

# A table of its own too: to change one that everybody reads all the time, beside another that an
# earlier step has locked, nobody would have to be in between.
_DATABASE: Final = """
CREATE TABLE seen_database (
    is_only_row boolean PRIMARY KEY CHECK (is_only_row),
    identity text
);
INSERT INTO seen_database VALUES (true, NULL);
"""


def upgrade() -> None:
    """Add them."""
    op.execute(_KEPT)
    op.execute(_JOURNAL_AGES)
    op.execute(_DATABASE)
