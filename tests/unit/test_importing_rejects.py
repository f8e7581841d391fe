"""The file of rejected lines: whole or not there, and going on after an interruption."""

import csv
from pathlib import Path

from service.importing import START, Position, Reject, RejectWriter, rejects_path
from service.importing.records import LINE_BYTES_MAX
from service.importing.rejects import PARTIAL_SUFFIX


def reject(line_number: int, raw: str = "raw") -> Reject:
    """Give a reject of one line."""
    return Reject(line_number, "why", raw, 1, Position(line_number * 10, line_number + 1))


def written(path: Path) -> list[list[str]]:
    """Give the rows of the rejects file."""
    with rejects_path(path).open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream))


def test_rejects_are_written_beside_the_file(tmp_path: Path) -> None:
    """Line number, reason and original text, line breaks and quotes included."""
    path = tmp_path / "history.csv"
    with RejectWriter(path) as writer:
        writer.add(reject(3, 'a;"b\r\nc"'))
        assert not rejects_path(path).exists()
        assert writer.finish() == tmp_path / "history.csv.rejected.csv"
    assert written(path) == [
        ["line_number", "reason", "original_text"],
        ["3", "why", 'a;"b\r\nc"'],
    ]
    assert [entry.name for entry in tmp_path.iterdir()] == ["history.csv.rejected.csv"]


def test_without_rejects_there_is_no_file(tmp_path: Path) -> None:
    """The file of an earlier run with rejects goes when a run has none."""
    path = tmp_path / "history.csv"
    with RejectWriter(path) as writer:
        writer.add(reject(1))
        writer.finish()
    with RejectWriter(path) as writer:
        assert writer.finish() is None
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_goes_on_with_its_rejects(tmp_path: Path) -> None:
    """Rejects before the position are kept; those behind it, read again, are not doubled."""
    path = tmp_path / "history.csv"
    with RejectWriter(path) as writer:
        writer.add(reject(2))
        writer.checkpoint()
        writer.add(reject(7))
    with RejectWriter(path, Position(40, 5)) as writer:
        assert writer.count == 1
        writer.add(reject(7))
        writer.finish()
    assert [row[0] for row in written(path)[1:]] == ["2", "7"]


def test_a_run_from_the_start_forgets_an_interrupted_one(tmp_path: Path) -> None:
    """Starting anew does not take over rejects."""
    path = tmp_path / "history.csv"
    with RejectWriter(path) as writer:
        writer.add(reject(2))
    with RejectWriter(path, START) as writer:
        assert writer.count == 0
        writer.finish()


def test_a_row_that_a_crash_cut_short_is_not_kept(tmp_path: Path) -> None:
    """Wherever the unfinished file ends, a row is kept whole or not at all."""
    path = tmp_path / "history.csv"
    partial = rejects_path(path).with_name(rejects_path(path).name + PARTIAL_SUFFIX)
    with RejectWriter(path) as writer:
        writer.add(reject(2))
        writer.checkpoint()
        checkpoint_bytes = partial.stat().st_size
        writer.add(reject(500, 'half "of"\r\nthe "original"\n\r\nКР'))
    whole = partial.read_bytes()
    assert len(whole) > checkpoint_bytes
    # The last byte is but the second half of the line break.
    for size in range(checkpoint_bytes, len(whole) - 1):
        partial.write_bytes(whole[:size])
        with RejectWriter(path, Position(9_000, 900)) as writer:
            assert writer.count == 1, whole[:size]
            writer.finish()
        assert [row[0] for row in written(path)[1:]] == ["2"]
    partial.write_bytes(whole)
    with RejectWriter(path, Position(9_000, 900)) as writer:
        assert writer.count == 2


def test_a_long_original_text_is_kept(tmp_path: Path) -> None:
    """As long as the reader of the imported file takes a line."""
    path = tmp_path / "history.csv"
    with RejectWriter(path) as writer:
        writer.add(reject(2, "x" * LINE_BYTES_MAX))
        writer.add(reject(3))
    with RejectWriter(path, Position(9_000, 900)) as writer:
        assert writer.kept_line_numbers == {2, 3}
