"""The step that rewrites cached records: nothing that was known is lost or answered otherwise."""

import json
import struct
import time
from typing import Final

import pytest
from sqlalchemy import Connection, Engine, text

from decision.catalog_history import CodeList
from decision.timeline import NO_BASIS, PermissionTimeline
from service.settings import Settings
from service.stores import StandstillNeededError, migrate
from store import migrations, record
from store.code_numbers import CodeNumbers
from store.publications import load_code_numbers
from tests.integration.ledger_builders import Ledger
from tests.running import settings_for

pytestmark = pytest.mark.integration

_HEADER: Final = struct.Struct("<BBHIIQI")
_COUNTS: Final = struct.Struct("<HHHH")
_CELL: Final = struct.Struct("<QHHHBx")
_NO_BASIS: Final = 0xFFFF

DISCONNECTED_SECONDS_MAX: Final = 60.0
"""A bound against hanging; not a performance claim."""


def _older_record(timeline: PermissionTimeline, numbers: CodeNumbers, version: int) -> bytes:
    """Write a record as the first version did, of a person without restrictions."""
    cells = [
        (numbers.scope_number(scope), segment)
        for scope, segments in timeline.segments.items()
        for segment in segments
    ]
    instants = sorted({instant for _, segment in cells for instant in segment[:2]})
    bases = [
        json.dumps((*basis[:3], basis.product, *basis[4:])).encode() for basis in timeline.bases
    ]
    offsets = [sum(map(len, bases[:index])) for index in range(len(bases))]
    return b"".join(
        (
            _HEADER.pack(1, 1, 0, 0, 0, version, 1),
            _COUNTS.pack(len(instants), len(cells), 0, len(bases)),
            struct.pack(f"<{len(instants)}q", *instants),
            *(
                _CELL.pack(
                    number,
                    instants.index(start),
                    instants.index(end),
                    _NO_BASIS if basis == NO_BASIS else basis,
                    reason,
                )
                for number, (start, end, reason, basis) in sorted(cells)
            ),
            struct.pack(f"<{len(offsets)}I", *offsets),
            *bases,
        )
    )


def _states(connection: Connection) -> dict[int, bytes]:
    rows = connection.execute(text("SELECT subject, record FROM state"))
    return {row.subject: bytes(row.record) for row in rows}


def _set_back(engine: Engine) -> dict[int, bytes]:
    """Make the database one of before the step, and give the records that it had."""
    with engine.begin() as connection:
        numbers = load_code_numbers(connection)
        states = _states(connection)
        for subject, present in states.items():
            decoded = record.decode(present, numbers)
            older = _older_record(decoded.timeline, numbers, decoded.header.version)
            connection.execute(
                text("UPDATE state SET record = :record WHERE subject = :subject"),
                {"record": older, "subject": subject},
            )
        connection.execute(text("ALTER TABLE code_number DISABLE TRIGGER USER"))
        connection.execute(text("DELETE FROM code_number WHERE code_list = 'consent_type'"))
        connection.execute(text("ALTER TABLE code_number ENABLE TRIGGER USER"))
        connection.execute(
            text("DROP TABLE IF EXISTS outbox_kept, seen_database, journal_forgotten")
        )
        connection.execute(text("DROP FUNCTION note_end_of_publications CASCADE"))
        connection.execute(text("DROP TABLE publication_end, erasure"))
        connection.execute(text("ALTER TABLE subject DROP COLUMN erased_at"))
        connection.execute(text("DROP TABLE handed_in_document, schema_step"))
        connection.execute(text("DROP TABLE IF EXISTS decision_journal, work_piece"))
        connection.execute(text("ALTER TABLE import_progress DROP COLUMN claim"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    return states


def test_older_records_say_the_same_afterwards(ledger: Ledger) -> None:
    """Every state is as it would be written today, and so are the numbers of codes."""
    ledger.consent("anna")
    ledger.consent("boris")
    before = _set_back(ledger.engine)
    migrations.upgrade(ledger.engine)
    with ledger.engine.connect() as connection:
        assert _states(connection) == before
        numbers = load_code_numbers(connection)
    assert numbers.number_of(CodeList.CONSENT_TYPE, "calls") == 1


def test_caches_of_older_records_begin_anew(ledger: Ledger) -> None:
    """What Redis holds of before is of a life that is over."""
    ledger.consent("anna")
    _set_back(ledger.engine)
    lives = text("SELECT sum(incarnation) FROM shard")
    with ledger.engine.connect() as connection:
        before = connection.scalar(lives)
    migrations.upgrade(ledger.engine)
    with ledger.engine.connect() as connection:
        assert connection.scalar(lives) == before + 64


def test_it_refuses_while_a_decision_server_runs(ledger: Ledger) -> None:
    """Earlier code can not read what the step leaves."""
    ledger.consent("anna")
    _set_back(ledger.engine)
    with ledger.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO lease VALUES ('running', '127.0.0.1:1', 1, 60000, "
                "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
            )
        )
    with pytest.raises(RuntimeError, match="still running"):
        migrations.upgrade(ledger.engine)


def test_the_command_takes_it_only_when_told_that_all_is_stopped(
    ledger: Ledger, database_url: str, redis_url: str
) -> None:
    """And not even then while something is connected; refused, it changes nothing."""
    ledger.consent("anna")
    _set_back(ledger.engine)
    settings = settings_for(database_url, redis_url, "maywe")
    with pytest.raises(StandstillNeededError, match=r"alone_0003_\w+ .*`maywe migrate --alone`"):
        migrate(settings)
    with ledger.engine.connect(), pytest.raises(StandstillNeededError, match="still maywe's"):
        migrate(settings, is_alone=True)
    assert not migrations.is_current(ledger.engine)
    ledger.engine.dispose()
    # PostgreSQL shows a connection for a moment after it was closed.
    deadline = time.monotonic() + DISCONNECTED_SECONDS_MAX
    while not _is_migrated_alone(settings):
        assert time.monotonic() < deadline
    assert migrations.is_current(ledger.engine)


def _is_migrated_alone(settings: Settings) -> bool:
    try:
        return migrate(settings, is_alone=True)
    except StandstillNeededError:
        return False
