"""Cached records in a third of the room: numbers for the codes of bases, and every state anew.

Runs alone: earlier code can not read what it leaves, and would put older records over newer ones in
Redis. So it refuses while a decision process of before still has a lease; stop writers, projectors
and workers as well. The caches begin new lives and are filled as they are asked, or by
`maywe cache warm`.

Revision ID: 0003
"""

from collections.abc import Sequence
from typing import Final

from alembic import op
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, LargeBinary

from decision.instants import FOREVER
from store.migrations.older_records import FORMATS, read_older
from store.publications import load_code_numbers
from store.record import encode

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STATES_PER_STEP: Final = 2000

_LIVE_LEASES: Final = """
SELECT count(*) FROM lease
WHERE renewed_at + length_milliseconds * 1000
    > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
"""

# In the order in which publications named them first. What has too high a number is written out.
_NUMBERS: Final = """
WITH
    item AS (
        SELECT publication.number, list.code_list, entry.item, entry.place
        FROM publication
        CROSS JOIN (VALUES ('consent_types', 'consent_type'), ('matrix', 'matrix')) AS list
            (field, code_list)
        CROSS JOIN LATERAL jsonb_array_elements(
            CASE jsonb_typeof(content -> list.field)
                WHEN 'array' THEN content -> list.field ELSE '[]'::jsonb
            END
        ) WITH ORDINALITY AS entry (item, place)
    ),
    named AS (
        SELECT code_list, item ->> 'code' AS code, number, place
        FROM item WHERE code_list = 'consent_type'
        UNION ALL SELECT 'matrix_row', item ->> 'id', number, place
        FROM item WHERE code_list = 'matrix'
        UNION ALL SELECT 'system_code', item ->> 'system_code', number, place
        FROM item WHERE code_list = 'matrix'
        UNION ALL SELECT 'product_type', item ->> 'product_type', number, place
        FROM item WHERE code_list = 'matrix'
    ),
    met AS (
        SELECT code_list, code, min(ARRAY[number, place]) AS first
        FROM named WHERE code <> '' GROUP BY code_list, code
    ),
    numbered AS (
        SELECT code_list, code,
            row_number() OVER (PARTITION BY code_list ORDER BY first, code) AS number
        FROM met
    )
INSERT INTO code_number (code_list, code, number)
SELECT code_list, code, number FROM numbered WHERE number < 65535
"""

_STATES: Final = text(
    "SELECT subject, record FROM state WHERE subject > :after ORDER BY subject LIMIT :limit"
)

_REWRITE: Final = text(
    "UPDATE state SET record = rewritten.record "
    "FROM unnest(:subjects, :records) AS rewritten (subject, record) "
    "WHERE state.subject = rewritten.subject"
).bindparams(
    bindparam("subjects", type_=ARRAY(BigInteger)), bindparam("records", type_=ARRAY(LargeBinary))
)

_NEW_LIVES: Final = "UPDATE shard SET incarnation = incarnation + 1"


def upgrade() -> None:
    """Give numbers, write every record in today's format, and let the caches begin anew."""
    connection = op.get_bind()
    has_states = connection.scalar(text("SELECT EXISTS (SELECT FROM state)"))
    op.execute(_NUMBERS)
    if not has_states:
        return
    if connection.scalar(text(_LIVE_LEASES)):
        message = "a decision server is still running: stop every process, then migrate"
        raise RuntimeError(message)
    op.execute("LOCK TABLE state IN ACCESS EXCLUSIVE MODE")
    _rewrite_states(connection)
    op.execute(_NEW_LIVES)


def _rewrite_states(connection: Connection) -> None:
    numbers = load_code_numbers(connection)
    after = -1
    while rows := connection.execute(_STATES, {"after": after, "limit": STATES_PER_STEP}).all():
        after = rows[-1].subject
        older = [
            (row.subject, read_older(bytes(row.record), numbers))
            for row in rows
            if row.record[0] in FORMATS
        ]
        if not older:
            continue
        records = [
            encode(
                found.timeline,
                numbers,
                version=found.version,
                publication=found.publication,
                # What was left out as past is left out already.
                made_at=-FOREVER,
            )
            for _, found in older
        ]
        connection.execute(
            _REWRITE, {"subjects": [subject for subject, _ in older], "records": records}
        )
