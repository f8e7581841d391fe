"""Publications as a process keeps them: parsed once, and not for ever."""

from collections.abc import Iterator

import pytest

from store.database import reading
from store.publications import NOTHING_PUBLISHED, Catalogs, PublishedCatalog
from tests.integration.ledger_builders import Ledger, document, opened_ledger

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger with four publications."""
    with opened_ledger(database_url) as opened:
        for number in range(2, 5):
            opened.publish(document(remark=f", {number}"), rolled_out=False)
        yield opened


def by_number(ledger: Ledger, catalogs: Catalogs, number: int) -> PublishedCatalog:
    """One publication, as the process of `catalogs` has it."""
    with reading(ledger.engine) as connection:
        return catalogs.by_number(connection, number)


def test_a_publication_is_parsed_once(ledger: Ledger) -> None:
    """As long as there is room for it, the same one is given again."""
    catalogs = Catalogs(ledger.engine)
    found = [by_number(ledger, catalogs, number) for number in (1, 2, 3, 4)]
    assert [one.number for one in found] == [1, 2, 3, 4]
    for one in found:
        assert by_number(ledger, catalogs, one.number) is one


def test_those_not_asked_for_longest_are_given_up(ledger: Ledger) -> None:
    """And parsed again when somebody asks for them after all."""
    catalogs = Catalogs(ledger.engine, kept_max=2)
    first, second = (by_number(ledger, catalogs, number) for number in (1, 2))
    assert by_number(ledger, catalogs, 1) is first
    by_number(ledger, catalogs, 3)
    assert by_number(ledger, catalogs, 1) is first
    again = by_number(ledger, catalogs, 2)
    assert again is not second
    assert (again.number, again.catalog) == (second.number, second.catalog)


def test_the_newest_is_never_given_up(ledger: Ledger) -> None:
    """However many older ones are asked for after it; nor is what comes before the first."""
    catalogs = Catalogs(ledger.engine, kept_max=1)
    newest = catalogs.refresh()
    for number in (1, 2, 3):
        by_number(ledger, catalogs, number)
    assert newest.number == 4
    assert catalogs.newest() is newest
    assert by_number(ledger, catalogs, 4) is newest
    assert catalogs.refresh() is newest
    assert by_number(ledger, catalogs, 0) is NOTHING_PUBLISHED


def test_an_older_publication_does_not_become_the_newest(ledger: Ledger) -> None:
    """Whoever looks into the past does not change what counts now."""
    catalogs = Catalogs(ledger.engine)
    newest = catalogs.refresh()
    by_number(ledger, catalogs, 2)
    assert catalogs.newest() is newest
