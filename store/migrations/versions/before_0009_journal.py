"""The journal of decisions.

Old code survives it: it keeps none, and its erasures find nothing of theirs there.

Revision ID: 0009
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Parted by time from the beginning: a table with rows in it can not be parted without copying it.
# What no partition was made for ahead of time stands in the last one.
_JOURNAL: Final = """
CREATE TABLE decision_journal (
    answered_at bigint NOT NULL,
    decision_id text COLLATE "C" NOT NULL,
    caller text NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    question jsonb NOT NULL,
    decided_at bigint NOT NULL,
    state_version bigint NOT NULL,
    publication integer NOT NULL,
    is_outside_promise boolean NOT NULL,
    answer jsonb NOT NULL,
    PRIMARY KEY (decision_id, answered_at)
) PARTITION BY RANGE (answered_at);
CREATE INDEX decision_journal_by_customer ON decision_journal (customer_id);
CREATE TABLE decision_journal_default PARTITION OF decision_journal DEFAULT;
"""

# Whoever writes to the journal looks whether ids were removed from it in the meantime.
_FORGOTTEN: Final = """
CREATE TABLE journal_forgotten (
    is_only_row boolean PRIMARY KEY CHECK (is_only_row),
    forgot_at bigint NOT NULL
);
INSERT INTO journal_forgotten VALUES (true, 0);
"""


def upgrade() -> None:
    """Add the journal, with a partition for whatever has no other, and when ids left it."""
    op.execute(_JOURNAL)
    op.execute(_FORGOTTEN)
