"""Every case file through gRPC: the hand-written ones, and the shared ones where at hand."""

from pathlib import Path
from typing import Final

import pytest

from tests.cases.runner import case_files, failures, load_case
from tests.running import fresh_maywe
from tests.servers import ServerUrls

pytestmark = [pytest.mark.cases, pytest.mark.integration]

_ROOT: Final = Path(__file__).resolve().parents[2]
_DIRECTORIES: Final = (
    _ROOT / "tests" / "cases" / "hand_written",
    _ROOT.parent / "shared" / "cases",
)


def _paths() -> list[Path]:
    """Every case once: a shared one that is the copy's original is not run again."""
    found: dict[tuple[str, bytes], Path] = {}
    for directory in _DIRECTORIES:
        for path in case_files(directory):
            found.setdefault((path.name, path.read_bytes()), path)
    return list(found.values())


@pytest.mark.parametrize("path", _paths(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_case(path: Path, server_urls: ServerUrls, template_database: str) -> None:
    """Every step and every probe of the case has the outcome that the file expects."""
    with fresh_maywe(server_urls, template_database) as maywe:
        assert list(failures(load_case(path), maywe)) == []
