"""The invented history, read with the mappings that are shipped with it."""

from pathlib import Path

import pytest

from decision.instants import parse_instant
from service.demo.history import (
    COMPANY_ZONE,
    CONSENTS_MAPPING_PATH,
    PRODUCTS_MAPPING_PATH,
    History,
    generate_history,
)
from service.importing import EventRow, Tally, load_mapping, read
from tests.neutral_events import neutral_event

NOW = parse_instant("2026-07-15T09:00:00Z")
EVENT_ID_KEY = bytes(32)
CUSTOMER_COUNT = 400
PRODUCT_COUNT = 1_200


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Generate a small history."""
    return generate_history(
        tmp_path, NOW, customer_count=CUSTOMER_COUNT, product_count=PRODUCT_COUNT
    )


def test_the_same_seed_gives_the_same_files(history: History, tmp_path: Path) -> None:
    """Generating twice gives the same bytes, another seed others."""
    again, other = tmp_path / "again", tmp_path / "other"
    for directory, seed in ((again, 2), (other, 3)):
        directory.mkdir()
        generate_history(
            directory, NOW, seed=seed, customer_count=CUSTOMER_COUNT, product_count=PRODUCT_COUNT
        )
    for path in (history.products.path, history.consents.path):
        assert path.read_bytes() == (again / path.name).read_bytes()
        assert path.read_bytes() != (other / path.name).read_bytes()


def test_the_counts_foretold_are_the_counts_read(history: History) -> None:
    """Events, repeats and bad lines are as many as the generator says, and lines add up."""
    for path, mapping_path, event_lines, repeats, bad_lines in (
        (
            history.products.path,
            PRODUCTS_MAPPING_PATH,
            history.products.event_lines,
            history.products.repeats,
            history.products.bad_lines,
        ),
        (
            history.consents.path,
            CONSENTS_MAPPING_PATH,
            history.consents.event_lines + history.consents.refused_lines,
            history.consents.repeats,
            history.consents.bad_lines,
        ),
    ):
        tally = Tally()
        event_ids: list[str] = []
        for row in read(path, load_mapping(mapping_path), COMPANY_ZONE, event_id_key=EVENT_ID_KEY):
            tally.add(row)
            if isinstance(row, EventRow):
                event_ids.append(neutral_event(row.event)["event_id"])
        assert (tally.events, tally.rejects) == (event_lines, bad_lines)
        assert tally.adds_up
        assert tally.lines == path.read_bytes().count(b"\n")
        assert len(event_ids) - len(set(event_ids)) == repeats


def test_no_event_is_dated_after_now(history: History) -> None:
    """The history is the past: nothing in it has yet to happen."""
    for path, mapping_path in (
        (history.products.path, PRODUCTS_MAPPING_PATH),
        (history.consents.path, CONSENTS_MAPPING_PATH),
    ):
        for row in read(path, load_mapping(mapping_path), COMPANY_ZONE, event_id_key=EVENT_ID_KEY):
            if isinstance(row, EventRow):
                ends = ("until", "expires_at")
                instants = [
                    value
                    for name, value in neutral_event(row.event).items()
                    if type(value) is int and name not in (*ends, "wording_version")
                ]
                assert all(instant <= NOW for instant in instants)
