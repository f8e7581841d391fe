"""What counts as now by the ledger.

What lives here: PostgreSQL's clock, read so that nothing that was recorded lies in the future of
whoever is told. One clock has to be right, and not that of every server (`docs/adr/0011`).
"""

from typing import Final

from sqlalchemy import Connection, text

from decision.instants import Instant
from store.floors import NOW_AHEAD_MICROSECONDS_MAX

CLOCK_SQL: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""PostgreSQL's clock as an instant."""

# The last instant drawn is no earlier than any that was recorded, so what was lost before it counts
# already. Only what is lost shortly after it was recorded has to be looked for; publications come
# so rarely that those of the last seconds are among a few.
_NOW: Final = text(
    f"""
    SELECT greatest(
        {CLOCK_SQL},
        drawn.last_value,
        (
            SELECT max(lost_at) FROM outbox
            WHERE lost_at > recorded_at
              AND lost_at <= recorded_at + :ahead_max
              AND lost_at > drawn.last_value
              AND lost_at <= drawn.last_value + :ahead_max
        ),
        (
            SELECT max(narrowed_at)
            FROM (SELECT narrowed_at FROM publication ORDER BY number DESC LIMIT 16) AS newest
        )
    )
    FROM recorded_instant AS drawn
    """  # noqa: S608 - put together from constants
)


def read_now(connection: Connection) -> Instant:
    """Give now by PostgreSQL's clock, no earlier than anything that counts as recorded or lost."""
    now: Instant = connection.execute(_NOW, {"ahead_max": NOW_AHEAD_MICROSECONDS_MAX}).scalar_one()
    return now
