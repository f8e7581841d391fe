"""Who is erased, and where the chain of publications ends.

Old code survives it: it erases nobody, and a trigger keeps the end of the chain for it.

Revision ID: 0008
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ERASURES: Final = """
ALTER TABLE subject ADD COLUMN erased_at bigint;
CREATE TABLE erasure (
    event_id text COLLATE "C" PRIMARY KEY,
    root bigint NOT NULL UNIQUE,
    recorded_at bigint NOT NULL,
    positions jsonb NOT NULL,
    completed_at bigint
);
CREATE INDEX erasure_under_way ON erasure (recorded_at) WHERE completed_at IS NULL;
"""

# Events have the end of their chain in their shard's row. Of publications nothing told how many
# there were, so that the newest could be cut off. A trigger, since code of before publishes too.
_END_OF_PUBLICATIONS: Final = """
CREATE TABLE publication_end (
    is_only_row boolean PRIMARY KEY CHECK (is_only_row),
    count integer NOT NULL,
    hash bytea NOT NULL
);
INSERT INTO publication_end SELECT true, coalesce(newest.number, 0), coalesce(newest.hash, '')
    FROM (VALUES (true)) AS one
    LEFT JOIN (SELECT number, hash FROM publication ORDER BY number DESC LIMIT 1) AS newest ON true;

CREATE FUNCTION note_end_of_publications() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE publication_end SET count = NEW.number, hash = NEW.hash;
    RETURN NULL;
END $$;
CREATE TRIGGER end_of_publications AFTER INSERT ON publication
    FOR EACH ROW EXECUTE FUNCTION note_end_of_publications();
ALTER TABLE publication ENABLE ALWAYS TRIGGER end_of_publications;
"""

# Nobody publishes between the reading of the end and the trigger. It is taken first, and of what
# servers read all the time only `subject` is locked against them: two such tables, and somebody who
# holds one and waits for the other would be in the way for ever.
_LOCK: Final = "LOCK TABLE publication IN SHARE ROW EXCLUSIVE MODE"


def upgrade() -> None:
    """Add what erasing keeps, and the end of the chain of publications."""
    op.execute(_LOCK)
    op.execute(_END_OF_PUBLICATIONS)
    op.execute(_ERASURES)
