"""How tables come out: aligned and whole when piped, readable on a narrow terminal."""

import io
from typing import Final

import pytest

from service.cli.output import Output

LONG_ID: Final = "customer-" + "9" * 119


class Terminal(io.StringIO):
    """Takes what a terminal would show."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Output:
    """Give the output on a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    return Output(is_json=False, stream=Terminal())


def shown(output: Output) -> str:
    """Give what was printed."""
    assert isinstance(output.stream, io.StringIO)
    return output.stream.getvalue()


def test_piped_columns_are_aligned_and_whole() -> None:
    """Columns begin below their heads by what a reader sees; ids are whole; no line trails."""
    output = Output(is_json=False, stream=io.StringIO())
    output.table(("id", "имя", "end"), [(LONG_ID, "Ольга", "x"), ("2", "日本", "y")])
    head, first, second = shown(output).splitlines()
    assert first.startswith(LONG_ID)
    assert head.index("имя") == first.index("Ольга") == second.index("日本")
    # Each of these letters takes two places.
    assert first.index("x") == second.index("y") + 2


def test_empty_columns_and_empty_tables_are_left_out() -> None:
    """What nothing is known about takes no room."""
    output = Output(is_json=False, stream=io.StringIO())
    output.table(("id", "void"), [("1", ""), ("2", "")])
    output.table(("id",), [])
    assert shown(output) == "id\n1\n2\n"


def test_markup_in_data_is_only_text(narrow: Output) -> None:
    """Brackets in somebody's comment are shown as they are."""
    narrow.line("[red]not red[/red]")
    assert "[red]not red[/red]" in shown(narrow)


def test_a_terminal_shows_long_ids_whole(narrow: Output) -> None:
    """An id wider than the terminal is folded, not cut."""
    narrow.table(("id", "n"), [("9" * 70, "1")])
    assert shown(narrow).count("9") == 70
    assert "…" not in shown(narrow)


def test_a_table_much_too_wide_becomes_records(narrow: Output) -> None:
    """On a narrow terminal each row of a very wide table is shown as labelled values."""
    narrow.table(("first", "second"), [("1" * 50, "2" * 50), ("3" * 50, "4" * 50)])
    lines = shown(narrow).splitlines()
    assert sum("first" in line for line in lines) == 2
    assert sum("second" in line for line in lines) == 2
