"""Leases of decision processes, what they have to be told, and who this PostgreSQL is.

Old code survives it: it says of no row that it narrows, but answers of no write that it is
effective.

Revision ID: 0002
"""

from collections.abc import Sequence
from typing import Final

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NARROWINGS: Final = """
ALTER TABLE outbox ADD COLUMN narrowed_version bigint, ADD COLUMN lost_at bigint;
CREATE INDEX outbox_narrowing ON outbox (shard, seq) WHERE narrowed_version IS NOT NULL;
CREATE INDEX outbox_lost_at ON outbox (lost_at) WHERE lost_at IS NOT NULL;
CREATE INDEX outbox_losing_later ON outbox (lost_at) WHERE lost_at > recorded_at;
"""

_PUBLICATIONS: Final = """
ALTER TABLE publication ADD COLUMN narrowed_at bigint;
"""

# A logged table: a lease that a crash of PostgreSQL forgot would go on elsewhere. The rows are few
# and written all the time, so pages are kept mostly empty.
_LEASES: Final = """
CREATE TABLE lease (
    process_id text PRIMARY KEY,
    control_address text NOT NULL,
    renewals bigint NOT NULL,
    length_milliseconds integer NOT NULL,
    renewed_at bigint NOT NULL
) WITH (fillfactor = 20);
"""

# Nobody held a lease before, so the epoch there is needs no waiting.
_INSTALLATION: Final = """
ALTER TABLE installation
    ADD COLUMN settled_epoch integer,
    ADD COLUMN system_identifier text,
    ADD COLUMN timeline text;
UPDATE installation SET settled_epoch = epoch;
ALTER TABLE installation ALTER COLUMN settled_epoch SET NOT NULL;
"""


def upgrade() -> None:
    """Add what a lease needs."""
    op.execute(_NARROWINGS)
    op.execute(_PUBLICATIONS)
    op.execute(_LEASES)
    op.execute(_INSTALLATION)
