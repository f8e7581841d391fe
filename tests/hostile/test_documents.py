"""The readers of documents and files, with anything that somebody may have written."""

import time
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decision.catalog_document import inspect_catalog
from decision.errors import PublicationRefusedError
from service.documents import DOCUMENT_BYTES_MAX, read_document
from tests.hostile.reading import READERS, Reader

pytestmark = pytest.mark.property

EXAMPLES: Final = 50
"""A second or so each; `make fuzz` tries as many as there is time for."""


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_written_is_read_or_refused(
    reader: Reader, data: st.DataObject, tmp_path: Path
) -> None:
    """With faults that are told, and never a trace."""
    reader.check(data.draw(reader.inputs), tmp_path)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_what_parsers_stumble_over_is_read_or_refused(reader: Reader, tmp_path: Path) -> None:
    """Nested without end, laughing a billion times, with numbers without end."""
    for trouble in reader.trouble:
        reader.check(trouble, tmp_path)


DOCUMENT_SECONDS_MAX: Final = 60.0
"""Of processor time; a bound against work that grows as a square."""


@pytest.mark.parametrize("unit", ["[],", "- \n"])
def test_a_document_of_the_longest_kind_takes_no_time_without_end(unit: str) -> None:
    """Each byte costs about the same, wherever it stands."""
    body = unit * ((DOCUMENT_BYTES_MAX - 16) // len(unit.encode()))
    text = f"[{body}]" if unit.endswith(",") else body
    began_at = time.process_time()
    try:
        _, faults = inspect_catalog(read_document(text))
        assert faults
    except PublicationRefusedError:
        pass
    assert time.process_time() - began_at < DOCUMENT_SECONDS_MAX
