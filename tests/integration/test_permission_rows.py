"""The index of permissions: only rows of what changed are written anew, and all are right."""

from collections.abc import Iterator
from typing import Final

import pytest
from sqlalchemy import Connection, text

from decision.events import Consent, Revocation
from decision.selectors import Selector
from store.clocks import wall_clock
from store.database import ROWS_PER_INSERT_MAX, reading, run_transaction
from store.record.writing import ENDED_KEPT_MAX
from tests.integration.ledger_builders import Ledger, document, ids_of_shard, opened_ledger
from tests.integration.whole_ledger import faults_of_ledger

pytestmark = pytest.mark.integration

SECOND: Final = 1_000_000


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger whose consents grant two channels."""
    with opened_ledger(database_url) as opened:
        yield opened


def written_by(ledger: Ledger) -> dict[int, set[str]]:
    """Tell for each scope which transactions wrote its rows."""
    found: dict[int, set[str]] = {}
    with reading(ledger.engine) as connection:
        for row in connection.execute(text("SELECT scope, xmin::text AS writer FROM permission")):
            found.setdefault(row.scope, set()).add(row.writer)
    return found


def test_rows_of_permissions_that_a_publication_leaves_stay(ledger: Ledger) -> None:
    """A channel that goes takes its rows with it; those of the other are not touched."""
    ledger.consent("ann")
    before = written_by(ledger)
    ledger.publish(document(channels=("sms",)))
    after = written_by(ledger)
    assert len(before) == 2
    assert len(after) == 1
    assert after.items() <= before.items()
    assert faults_of_ledger(ledger.engine, ledger.catalogs) == []


def test_rows_follow_events_merges_and_splits(ledger: Ledger) -> None:
    """Whoever writes a state, the rows are what the events give."""
    for step in (
        lambda: ledger.consent("ann"),
        lambda: ledger.consent("bob"),
        lambda: ledger.merge("bob", "ann"),
        lambda: ledger.revoke("ann"),
        lambda: ledger.consent("bob"),
        lambda: ledger.split("bob"),
        lambda: ledger.publish(document(channels=("phone",))),
        lambda: ledger.consent("bob"),
    ):
        step()
        assert faults_of_ledger(ledger.engine, ledger.catalogs) == []


def test_rows_of_many_people_of_which_the_ends_move_are_not_taken_away(ledger: Ledger) -> None:
    """Where a publication moves nothing but ends, rows stay, and their ends are right."""
    for customer_id in ids_of_shard(7, ROWS_PER_INSERT_MAX):
        ledger.consent(customer_id)
    run_transaction(ledger.engine, refuse_to_delete)
    for term in ("P50Y", "P70Y", "indefinite"):
        ledger.publish(document(term=term))
        assert faults_of_ledger(ledger.engine, ledger.catalogs) == []


def test_rows_of_whoever_consented_often_today_stay(ledger: Ledger) -> None:
    """Though the record does not say any more when the first of it was."""
    an_hour_ago = wall_clock() - 3600 * SECOND
    for place in range(2 * ENDED_KEPT_MAX):
        ledger.record("ann", Consent(an_hour_ago + place * SECOND, "calls", "granted"))
    ledger.record("ann", Revocation(wall_clock(), Selector(channel="sms")))
    before = written_by(ledger)
    ledger.record("ann", Revocation(wall_clock(), Selector(channel="sms")))
    assert written_by(ledger) == before
    assert faults_of_ledger(ledger.engine, ledger.catalogs) == []


def test_rows_that_begin_otherwise_than_thought_are_replaced(ledger: Ledger) -> None:
    """Among many whose ends move, a row with another beginning gives way to the right one."""
    for customer_id in ids_of_shard(7, ROWS_PER_INSERT_MAX):
        ledger.consent(customer_id)
    other = "UPDATE permission SET allowed_from = allowed_from - 1 WHERE subject % 5 = 0"
    run_transaction(ledger.engine, lambda connection: connection.execute(text(other)))
    ledger.publish(document(term="P50Y"))
    assert faults_of_ledger(ledger.engine, ledger.catalogs) == []


def refuse_to_delete(connection: Connection) -> None:
    """Let nobody delete a row of the index of permissions any more."""
    connection.execute(
        text(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN RAISE 'a row is deleted'; END $$;
            CREATE TRIGGER refuse BEFORE DELETE ON permission
                FOR EACH ROW EXECUTE FUNCTION refuse();
            """
        )
    )
