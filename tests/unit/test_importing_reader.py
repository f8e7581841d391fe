"""Reading files: rows, line numbers, rejects, resuming, and that nothing is dropped."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.instants import parse_instant
from service.importing import (
    START,
    ColumnsMissingError,
    EventIdKeyMissingError,
    EventRow,
    FileUnreadableError,
    Position,
    Reject,
    Row,
    Tally,
    content_digest,
    parse_mapping,
    position_of_line,
    read,
)
from service.importing.records import LINE_BYTES_MAX, RECORD_LINES_MAX
from tests.neutral_events import neutral_event

EVENT_ID_KEY = bytes(range(32))
MOSCOW = ZoneInfo("Europe/Moscow")
HEADER = "op;client;date;series\n"
MAPPING: dict[str, Any] = {
    "format": "csv",
    "date_formats": ["%d.%m.%Y", "%d.%m.%Y %H:%M", "iso"],
    "kind": {"column": "op", "values": {"buy": "purchase", "close": "close_product"}},
    "fields": {
        "customer": "client",
        "at": "date",
        "product.series": "series",
        "product.system_code": {"constant": "ABS"},
    },
}


def rows_of(
    path: Path, content: str | bytes, start: Position = START, **mapping: object
) -> list[Row]:
    """Write the content and read it with the mapping above, changed as given."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    parsed = parse_mapping(MAPPING | mapping)
    return list(read(path, parsed, MOSCOW, start, event_id_key=EVENT_ID_KEY))


def events_of(rows: list[Row]) -> list[dict[str, Any]]:
    """Give the events among the rows."""
    return [neutral_event(row.event) for row in rows if isinstance(row, EventRow)]


def rejects_of(rows: list[Row]) -> list[tuple[int, str]]:
    """Give line number and reason of the rejects among the rows."""
    return [(row.line_number, row.reason) for row in rows if isinstance(row, Reject)]


def assert_adds_up(rows: list[Row], content: bytes) -> None:
    """Check that the rows account for every line, one after the other."""
    tally = Tally()
    expected = START
    for row in rows:
        assert row.line_number == expected.line_number
        expected = row.next_position
        tally.add(row)
    assert tally.adds_up
    assert tally.lines == len(content.splitlines(keepends=True) if content else [])
    assert expected.byte_offset == len(content)


def test_a_purchase_has_the_shape_of_a_case_step(tmp_path: Path) -> None:
    """Instants are microseconds, and a date is the start of its day in the company zone."""
    [event] = events_of(rows_of(tmp_path / "f", HEADER + "buy;c1;01.02.2024;КР-1\n"))
    event_id = event.pop("event_id")
    assert event == {
        "op": "purchase",
        "customer": "c1",
        "purchased_at": parse_instant("2024-01-31T21:00:00Z"),
        "product": {"system_code": "ABS", "product_type": "", "series": "КР-1", "number": ""},
    }
    assert event_id.startswith("row-")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("01.02.2024 10:30", "2024-02-01T07:30:00Z"),
        ("2024-02-01", "2024-01-31T21:00:00Z"),
        ("2024-02-01T10:30:00.25", "2024-02-01T07:30:00.25Z"),
        ("2024-02-01T10:30:00+05:00", "2024-02-01T05:30:00Z"),
    ],
)
def test_dates_are_read_in_the_formats_listed(tmp_path: Path, text: str, expected: str) -> None:
    """Each format of the mapping is tried; an offset in the text counts before the zone."""
    [event] = events_of(rows_of(tmp_path / "f", HEADER + f"buy;c1;{text};s\n"))
    assert event["purchased_at"] == parse_instant(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("09.03.2025 02:30", "2025-03-09T07:30:00Z"),
        ("02.11.2025 01:30", "2025-11-02T05:30:00Z"),
    ],
)
def test_daylight_saving_times_are_read_by_rule(tmp_path: Path, text: str, expected: str) -> None:
    """A time in a gap moves forward by the gap, and an ambiguous one is the earlier."""
    rows = rows_of(tmp_path / "f", HEADER + f"buy;c1;{text};s\n", zone="America/New_York")
    assert events_of(rows)[0]["purchased_at"] == parse_instant(expected)


@pytest.mark.parametrize("text", ["31.02.2024", "01.01.1899", "yesterday", "01.02.24"])
def test_a_date_that_can_not_be_read_is_rejected(tmp_path: Path, text: str) -> None:
    """No date is guessed: the reason quotes the text."""
    [(number, reason)] = rejects_of(rows_of(tmp_path / "f", HEADER + f"buy;c1;{text};s\n"))
    assert number == 2
    assert text in reason


def test_byte_order_mark_crlf_and_blank_lines_are_no_fault(tmp_path: Path) -> None:
    """A mark, Windows line ends, blank lines and lines of delimiters only are skipped."""
    content = "\ufeffop;client;date;series\r\n\r\n ;;;\r\nbuy;c1;01.02.2024;s\r\n   \r\n".encode()
    rows = rows_of(tmp_path / "f", content)
    assert len(events_of(rows)) == 1
    assert not rejects_of(rows)
    assert_adds_up(rows, content)


def test_line_numbers_stay_right_after_a_quoted_line_break(tmp_path: Path) -> None:
    """A record over three lines is one row; the next one has the number of its line."""
    content = HEADER.replace("series", "series;note") + (
        'buy;c1;01.02.2024;s;"a;\n""b""\nc"\nbuy;;01.02.2024;s;\n'
    )
    rows = rows_of(tmp_path / "f", content)
    assert len(events_of(rows)) == 1
    assert [number for number, _ in rejects_of(rows)] == [5]
    assert_adds_up(rows, content.encode())


@pytest.mark.parametrize("good_count", [0, 3, RECORD_LINES_MAX * 2])
def test_a_quote_that_never_closes_spoils_its_own_line_only(
    tmp_path: Path, good_count: int
) -> None:
    """The lines that the open quote would swallow are read as lines of their own."""
    good = "".join(f"buy;c{index};01.02.2024;s\n" for index in range(good_count))
    content = HEADER + 'buy;"c1;01.02.2024;s\n' + good
    rows = rows_of(tmp_path / "f", content)
    assert [number for number, _ in rejects_of(rows)] == [2]
    assert len(events_of(rows)) == good_count
    assert_adds_up(rows, content.encode())


def test_a_wrongly_encoded_line_is_rejected_and_the_rest_goes_on(tmp_path: Path) -> None:
    """One line in another encoding does not stop the file."""
    bad = "buy;c1;01.02.2024;КР\n".encode("cp1251")
    content = HEADER.encode() + bad + b"buy;c2;01.02.2024;s\n"
    rows = rows_of(tmp_path / "f", content)
    [(number, reason)] = rejects_of(rows)
    assert number == 2
    assert "not utf-8" in reason
    assert events_of(rows)[0]["customer"] == "c2"
    assert_adds_up(rows, content)


def test_a_file_in_cp1251_is_read(tmp_path: Path) -> None:
    """The encoding of the mapping applies."""
    content = (HEADER + "buy;Иванов;01.02.2024;КР\n").encode("cp1251")
    assert events_of(rows_of(tmp_path / "f", content, encoding="cp1251"))[0]["customer"] == "Иванов"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lend;c1;01.02.2024;s", "do not list"),
        ("buy;;01.02.2024;s", "customer (column 'client') is empty"),
        ("buy;c1;01.02.2024", "3 cells; the header has 4"),
        ("buy;c1;01.02.2024;s;x", "5 cells"),
        (f"buy;{'c' * 129};01.02.2024;s", "has 129 characters, 128 are the most"),
        ("buy;c\x07;01.02.2024;s", "a control character (U+0007)"),
        ('buy;"c1"x;01.02.2024;s', "not CSV"),
        ("x" * LINE_BYTES_MAX + ";", f"the limit is {LINE_BYTES_MAX}"),
    ],
)
def test_a_bad_line_is_rejected_with_its_reason(tmp_path: Path, line: str, words: str) -> None:
    """The reject has line number, reason and text, and the next line is read."""
    content = HEADER + line + "\nbuy;c2;01.02.2024;s\n"
    rows = rows_of(tmp_path / "f", content)
    [(number, reason)] = rejects_of(rows)
    assert number == 2
    assert words in reason
    assert len(events_of(rows)) == 1
    assert_adds_up(rows, content.encode())


def test_missing_columns_are_one_error_before_any_row(tmp_path: Path) -> None:
    """The error names what is missing and what the header has."""
    with pytest.raises(ColumnsMissingError, match=r"'client', 'date'.*the header has: op, series"):
        rows_of(tmp_path / "f", "op;series\nbuy;s\n")


def test_a_column_given_twice_is_an_error(tmp_path: Path) -> None:
    """Which of two columns of one name is meant is not guessed."""
    with pytest.raises(ColumnsMissingError, match="'client' is there 2 times"):
        rows_of(tmp_path / "f", "op;client;client;date;series\n")


@pytest.mark.parametrize("content", [b"", b"\n\n", "op;client".encode("utf-16")])
def test_a_file_that_is_no_such_file_is_one_error(tmp_path: Path, content: bytes) -> None:
    """No header, or UTF-16, is refused as a whole."""
    with pytest.raises(FileUnreadableError):
        rows_of(tmp_path / "f", content)


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(FileUnreadableError, match="nothing"):
        read(tmp_path / "nothing", parse_mapping(MAPPING), MOSCOW, event_id_key=EVENT_ID_KEY)


def test_a_filled_column_that_the_kind_can_not_take_is_rejected(tmp_path: Path) -> None:
    """What an event of that kind has no field for is not silently dropped."""
    mapping: dict[str, Any] = {
        "kind": {"column": "op", "values": {"buy": "purchase", "join": "merge"}},
        "fields": {"customer": "client", "at": "date"},
        "fields_by_kind": {"merge": {"from": "series", "into": {"column": "series"}}},
    }
    content = HEADER + "join;;;a\njoin;c1;;a\n"
    rows = rows_of(tmp_path / "f", content, **mapping)
    assert len(events_of(rows)) == 1
    assert rejects_of(rows) == [(3, "column 'client' is filled, but a merge has no customer")]


def test_equal_rows_have_equal_ids_however_they_are_written(tmp_path: Path) -> None:
    """The derived id is of the content: a repeated row repeats it, quoted or not."""
    lines = 'buy;c1;01.02.2024;s\n"buy";c1;2024-02-01;s\nclose;c1;01.02.2024;s\n'
    ids = [event["event_id"] for event in events_of(rows_of(tmp_path / "f", HEADER + lines))]
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


def test_derived_ids_are_of_one_installation(tmp_path: Path) -> None:
    """Under another installation's key the same row has another id."""
    path = tmp_path / "f"
    [event] = events_of(rows_of(path, HEADER + "buy;c1;01.02.2024;s\n"))
    other_key = bytes(len(EVENT_ID_KEY))
    [other] = events_of(list(read(path, parse_mapping(MAPPING), MOSCOW, event_id_key=other_key)))
    assert event.pop("event_id") != other.pop("event_id")
    assert event == other


@pytest.mark.parametrize("key", [None, b"", EVENT_ID_KEY[1:]])
def test_ids_are_not_derived_without_the_whole_key(tmp_path: Path, key: bytes | None) -> None:
    """Deriving ids that could be found by trying out is refused; ids of a column need no key."""
    path = tmp_path / "f"
    path.write_text(HEADER + "buy;c1;01.02.2024;s\n", encoding="utf-8")
    with pytest.raises(EventIdKeyMissingError, match="32 bytes"):
        read(path, parse_mapping(MAPPING), MOSCOW, event_id_key=key)
    mapping = parse_mapping(MAPPING | {"event_id": {"column": "series"}})
    [event] = events_of(list(read(path, mapping, MOSCOW, event_id_key=key)))
    assert event["event_id"] == "s"


JSON_MAPPING: dict[str, Any] = {
    "format": "jsonl",
    "kind": {"column": "type", "values": {"rev": "revoke", "ban": "restrict"}},
    "event_id": {"column": "id"},
    "fields": {
        "customer": "who.id",
        "at": "at",
        "selector.all": "what.all",
        "selector.channel": "what.channel",
    },
    "fields_by_kind": {"restrict": {"kind": "why"}},
}


def test_json_lines_are_read_by_path(tmp_path: Path) -> None:
    """Nested values, numbers as ids, absent parts and open ends take the shape of a case step."""
    content = (
        '{"type": "rev", "id": 7, "who": {"id": 12}, "at": "2024-01-01T00:00:00Z", '
        '"what": {"all": false, "channel": "sms"}}\n'
        '{"type": "ban", "id": "b", "who": {"id": "c"}, "at": "2024-01-01T00:00:00Z", '
        '"what": {"all": true}, "why": "complaint", "more": [1]}\n'
    )
    at = parse_instant("2024-01-01T00:00:00Z")
    assert events_of(rows_of(tmp_path / "f", content, **_json_mapping())) == [
        {
            "op": "revoke",
            "event_id": "7",
            "customer": "12",
            "revoked_at": at,
            "selector": {"channel": "sms"},
        },
        {
            "op": "restrict",
            "event_id": "b",
            "customer": "c",
            "kind": "complaint",
            "from": at,
            "until": None,
            "selector": {"all": True},
        },
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"id": 1, "id": 2}', "given twice"),
        ('{"type": "rev", "id": NaN}', "NaN is not JSON"),
        ('{"type": "rev", "id": "1", "who": "me", "at": "2024-01-01"}', "not within a JSON object"),
        ('{"type": "rev", "id": "1", "who": {"id": 1.5}}', "whole number"),
        ('{"type": "rev", "id": "1", "who": {"id": "\\ud800"}}', "half of a surrogate pair"),
        ('{"type": "rev", "id": "1", "who": {"id": 1}, "at": "2024-01-01"}', "nothing is selected"),
        (
            '{"type": "rev", "who": {"id": 1}, "at": "2024-01-01", "what": {"all": true}}',
            "event_id",
        ),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_json_line_is_rejected_with_its_reason(tmp_path: Path, line: str, words: str) -> None:
    """Whatever is wrong with a line stays with that line."""
    [(number, reason)] = rejects_of(rows_of(tmp_path / "f", "\n" + line, **_json_mapping()))
    assert number == 2
    assert words in reason


def test_reading_goes_on_at_any_row(tmp_path: Path) -> None:
    """From every row's next position on, the rest of the rows comes out the same."""
    content = (
        "\n" + HEADER + 'buy;c1;01.02.2024;"s\n1"\n\nlend;c2;01.02.2024;s\nbuy;c3;01.02.2024;s'
    )
    whole = rows_of(tmp_path / "f", content)
    for index, row in enumerate(whole):
        assert rows_of(tmp_path / "f", content, row.next_position) == whole[index + 1 :]


def test_a_line_number_is_enough_to_go_on(tmp_path: Path) -> None:
    """The position of a line is that of the record beginning there, or of the next one."""
    content = HEADER + 'buy;c1;01.02.2024;"s\n1"\nbuy;c3;01.02.2024;s\n'
    rows = rows_of(tmp_path / "f", content)
    mapping = parse_mapping(MAPPING)
    positions = [position_of_line(tmp_path / "f", mapping, number) for number in range(1, 6)]
    header, first, second = (row.next_position for row in rows)
    assert positions == [START, header, first, first, second]


def test_a_position_behind_the_end_means_another_file(tmp_path: Path) -> None:
    """Going on in a file that has become shorter is refused, and the digest tells files apart."""
    with pytest.raises(FileUnreadableError, match="not the same file"):
        rows_of(tmp_path / "f", HEADER, Position(10_000, 9))
    before = content_digest(tmp_path / "f")
    rows_of(tmp_path / "f", HEADER + "buy;c1;01.02.2024;s\n")
    assert content_digest(tmp_path / "f") != before


@pytest.mark.property
@given(st.lists(st.sampled_from(['"', ";", "\n", "\r\n", "a", "buy;c1;01.02.2024;s", "\x00", "é"])))
def test_whatever_a_file_holds_every_line_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    """Rows follow each other without gap or overlap, to the last byte."""
    content = HEADER + "".join(parts)
    rows = rows_of(tmp_path_factory.mktemp("any") / "f", content)
    expected = START
    for row in rows:
        assert row.line_number == expected.line_number
        expected = row.next_position
    assert expected.byte_offset == len(content.encode())
    assert sum(row.line_count for row in rows) == content.count("\n") + (content[-1] != "\n")


def _json_mapping() -> dict[str, Any]:
    return JSON_MAPPING | {"date_formats": ["iso"]}


def test_a_constant_is_taken_as_it_stands(tmp_path: Path) -> None:
    """Neither stripped nor translated, as ids were always derived of it."""
    fields = MAPPING["fields"] | {
        "source.document": {"constant": " letter ", "values": {"letter": "L"}}
    }
    [event] = events_of(rows_of(tmp_path / "f", HEADER + "buy;c1;01.02.2024;s\n", fields=fields))
    assert event["source"] == {"document": " letter "}
