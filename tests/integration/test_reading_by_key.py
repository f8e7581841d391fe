"""What it takes to read some people depends on how many they are, not on how many there are."""

from collections.abc import Iterator
from typing import Final

import pytest
from sqlalchemy import Connection, text

from store.database import reading
from store.ledger import load_timelines_to_fold
from store.subjects import persons_of_roots
from tests.integration.ledger_builders import opened_ledger

pytestmark = pytest.mark.integration

PEOPLE: Final = 20_000
FIRST: Final = 1_000
"""The number of the first of the people who are made at once."""

ASKED: Final = range(FIRST, FIRST + 1_000)

PEOPLE_ALIKE: Final = (
    """
    INSERT INTO subject (number, shard, root, named_by_merge)
    SELECT number, number % 256, number, false
    FROM generate_series(CAST(:first AS bigint), :last) AS number
    """,
    """
    INSERT INTO customer (customer_id, subject)
    SELECT 'customer-' || number, number
    FROM generate_series(CAST(:first AS bigint), :last) AS number
    """,
    """
    INSERT INTO event (event_id, shard, position, subject, kind, effective_at, recorded_at, body,
        personal_commitment, previous_hash, hash)
    SELECT 'event-' || number, number % 256, number, number, kind, effective_at, number, body,
        personal_commitment, previous_hash, hash
    FROM event, generate_series(CAST(:first AS bigint), :last) AS number
    """,
    """
    INSERT INTO event_personal (event_id, salt, personal)
    SELECT 'event-' || number, salt, personal
    FROM event_personal, generate_series(CAST(:first AS bigint), :last) AS number
    """,
    """
    INSERT INTO event_void (voided_event_id, event_id, recorded_at)
    SELECT 'voided-' || number, 'void-' || number, number
    FROM generate_series(CAST(:first AS bigint), :last) AS number
    """,
)
"""People with the one event that the ledger has, and voids of others."""

ROWS_READ_IN_SEQUENCE: Final = (
    "SELECT relname, seq_tup_read FROM pg_stat_xact_user_tables WHERE seq_tup_read > 0"
)


@pytest.fixture
def many(database_url: str) -> Iterator[Connection]:
    """A transaction that has made many people, of whom PostgreSQL has no statistics yet."""
    with opened_ledger(database_url) as ledger:
        ledger.consent("first")
        with reading(ledger.engine) as connection:
            for statement in PEOPLE_ALIKE:
                connection.execute(text(statement), {"first": FIRST, "last": FIRST + PEOPLE - 1})
            yield connection
            connection.rollback()


def rows_read_in_sequence(connection: Connection) -> dict[str, int]:
    """How many rows of which tables this transaction has read in scans of the whole."""
    return {
        row.relname: row.seq_tup_read for row in connection.execute(text(ROWS_READ_IN_SEQUENCE))
    }


def test_timelines_are_looked_up_by_key(many: Connection) -> None:
    """No table is read whole for the events of a thousand people."""
    before = rows_read_in_sequence(many)
    assert len(load_timelines_to_fold(many, ASKED)) == len(ASKED)
    assert rows_read_in_sequence(many) == before


def test_persons_are_looked_up_by_key(many: Connection) -> None:
    """No table is read whole for the ids of a thousand people."""
    before = rows_read_in_sequence(many)
    assert len(persons_of_roots(many, ASKED)) == len(ASKED)
    assert rows_read_in_sequence(many) == before
