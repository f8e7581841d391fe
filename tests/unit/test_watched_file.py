"""Files that are replaced while we run: when they are read again, and what is told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.access import watched_file
from service.access.watched_file import WatchedFile, look_at
from tests.waiting import until


def test_who_may_read_a_file_is_part_of_its_look(tmp_path: Path) -> None:
    """Its mode changes nothing else about it."""
    file = tmp_path / "file"
    file.write_text("x")
    before = look_at([file])

    def has_another_look() -> bool:
        file.chmod(0o600)
        return look_at([file]) != before

    # The clock of the file system may stand still for a few milliseconds.
    until(has_another_look)


def _reader(
    answers: list[str | Exception], clock: Callable[[], float]
) -> Callable[[Path], WatchedFile[str]]:
    def read(_: Path) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return lambda path: WatchedFile(path, read, (OSError,), "the one before stays", clock)


def test_what_fails_is_tried_again_later_and_told_when_it_fails_otherwise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At once if the file changes; what was read well is not read again."""
    file = tmp_path / "file"
    file.write_text("x")
    denied, broken = PermissionError(13, "no permission", "f"), OSError(5, "a fault", "f")
    now = [100.0]
    answers: list[str | Exception] = ["first", denied, denied, broken, broken, "second"]
    watched = _reader(answers, lambda: now[0])(file)
    assert watched.content() == "first"
    assert watched.new_content() is None
    file.write_text("longer")
    assert watched.new_content() is None
    assert watched.new_content() is None
    assert len(answers) == 4
    now[0] += watched_file.RETRY_SECONDS
    assert watched.new_content() is None
    assert len(answers) == 3
    assert len(caplog.records) == 1
    file.write_text("longer still")
    assert watched.new_content() is None
    now[0] += watched_file.RETRY_SECONDS
    assert watched.new_content() is None
    assert [record.message for record in caplog.records] == [
        "f can not be read: no permission; the one before stays",
        "f can not be read: a fault; the one before stays",
    ]
    now[0] += watched_file.RETRY_SECONDS
    assert watched.new_content() == "second"
    assert watched.new_content() is None
