"""What is read of a file, many records at once, is what the naive way makes of each."""

import json
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maywe.v1 import event_pb2, writer_pb2

from decision.instants import is_in_range, local_to_instant
from service.importing import EventRow, FileMapping, Reject, Row, parse_mapping, read
from service.importing.chunks import chunks_of
from service.importing.dates import DateReader
from service.importing.forms import EVENT_FORMS, FieldType
from tests.property.importing_model import naive_event

pytestmark = pytest.mark.property

KEY = bytes(range(32))
ZONES = ["Europe/Moscow", "America/New_York", "Africa/Monrovia", "Asia/Kathmandu"]
KIND_COLUMN = "op"

blanks = st.sampled_from(["", "", "", " ", "\u00a0"])
codes = st.sampled_from(
    ["contact", "share", "a", "b", "Ж", 'q"', "back\\slash", "nu\x00l", "x" * 129]
)
texts = codes | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
dates = st.sampled_from(
    [
        *(
            "2024-02-01T10:30:00",
            "2024-02-01 10:30:59",
            "2024-02-01T24:00:00",
            "2024-02-30T00:00:00",
        ),
        *("2024-02-01", "01.02.2024", "1900-01-01T00:00:00", "1899-12-31T23:59:59", "0001-01-01"),
        *(
            "2025-03-09T02:30:00",
            "2025-11-02T01:30:00",
            "2025-11-02T23:59:59",
            "9999-12-31T23:59:59",
        ),
        *("2024-02-01T10:30", "2024-02-01T10:30:00.25", "2024-02-01T10:30:00+05:00", "1965-05-05"),
        *(
            "2024-02-01T10:3x:00",
            "2024-02-01T10:30:+1",
            "2024-02-01T 1:30:00",
            "x024-02-01T10:30:00",
        ),
    ]
) | st.datetimes().map(lambda moment: moment.isoformat(" ", "seconds"))
CELLS = {
    FieldType.IDENTIFIER: texts,
    FieldType.TEXT: texts,
    FieldType.INSTANT: dates,
    FieldType.INTEGER: st.sampled_from(
        ["0", "1", "127", "128", "2147483647", "2147483648", "-1", "١"]
    ),
    FieldType.BOOLEAN: st.sampled_from(["true", "FALSE", "1", "0", "yes"]),
}


GOOD_CELLS = {
    # No message can say the last of these where a kind of scope is meant.
    FieldType.IDENTIFIER: st.sampled_from(["contact", "share", "process", "elsewhere"]),
    FieldType.TEXT: st.sampled_from(["a", 'q"', "back\\slash", "Ж"]),
    FieldType.INSTANT: dates.filter(lambda text: "1965" < text < "2026" and text[8:10] < "29"),
    FieldType.INTEGER: st.sampled_from(["0", "1", "128"]),
    FieldType.BOOLEAN: st.sampled_from(["true", "1"]),
}
"""Cells that are at fault seldom."""


@st.composite
def sources(draw: st.DrawFn, name: str, field_type: FieldType, *, may_lack: bool) -> Any:
    """Draw where a field comes from: mostly a column of its own name."""
    kinds = ["column"] * 12 + ["constant"] * 3 + ["values", "shared"] + ["lacking"] * may_lack
    match draw(st.sampled_from(kinds)):
        case "constant":
            any_cell = st.integers(0, 9).map(lambda chance: chance == 0)
            cells = CELLS if draw(any_cell) else GOOD_CELLS
            return {"constant": draw(cells[field_type].filter(bool))}
        case "values":
            good, other = draw(GOOD_CELLS[field_type]), draw(CELLS[field_type])
            return {"column": "listed", "values": {"contact": good, "b": other}}
        case "shared":
            return {"column": "shared"}
        case "lacking":
            return {"column": "lacking", "optional": "true"}
        case _:
            return {"column": name}


@st.composite
def mappings(draw: st.DrawFn, *, is_csv: bool) -> dict[str, Any]:
    """Draw a mapping of some kinds of event."""
    ops = draw(st.lists(st.sampled_from(sorted(EVENT_FORMS)), min_size=1, max_size=3, unique=True))
    by_kind: dict[str, dict[str, Any]] = {}
    for op in ops:
        form = EVENT_FORMS[op]
        optional = sorted(set(form.fields) - form.required)
        chosen = draw(st.lists(st.sampled_from(optional), unique=True, max_size=8))
        names = draw(st.permutations([*sorted(form.required), *chosen]))
        by_kind[op] = {
            name: draw(
                sources(name, form.fields[name], may_lack=is_csv and name not in form.required)
            )
            for name in names
        }
    mapping: dict[str, Any] = {
        "format": "csv" if is_csv else "jsonl",
        "date_formats": draw(st.sampled_from([["iso"], ["%d.%m.%Y", "iso"]])),
        "kind": {"column": KIND_COLUMN, "values": {op[:3]: op for op in ops}},
        "fields_by_kind": by_kind,
    }
    if len(ops) == 1 and draw(st.booleans()):
        mapping["kind"] = {"constant": ops[0]}
    if draw(st.booleans()):
        mapping["event_id"] = {"column": "id"}
    if draw(st.booleans()) and any("source.document" in EVENT_FORMS[op].fields for op in ops):
        mapping["fields"] = {"source.document": "document"}
    foreign = {"partner", "customer"} - set().union(*(EVENT_FORMS[op].fields for op in ops[:1]))
    if draw(st.booleans()) and len(ops) > 1:
        for name in foreign:
            if any(name in EVENT_FORMS[op].fields for op in ops):
                mapping.setdefault("fields", {})[name] = "foreign"
                for fields in by_kind.values():
                    fields.pop(name, None)
    return mapping


def columns_of(mapping: dict[str, Any]) -> dict[str, FieldType]:
    """Give the columns of a mapping's file, and how their cells are read."""
    columns = {KIND_COLUMN: FieldType.IDENTIFIER, "id": FieldType.IDENTIFIER}
    columns |= {"shared": FieldType.IDENTIFIER, "listed": FieldType.IDENTIFIER}
    columns |= {"document": FieldType.TEXT}
    columns["foreign"] = FieldType.IDENTIFIER
    for op, fields in mapping["fields_by_kind"].items():
        columns |= {name: EVENT_FORMS[op].fields[name] for name in fields}
    return columns


@st.composite
def files(draw: st.DrawFn, *, is_csv: bool) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Draw a mapping and records for it, good ones mostly."""
    mapping = draw(mappings(is_csv=is_csv))
    columns = columns_of(mapping)
    good = {name: draw(GOOD_CELLS[field_type]) for name, field_type in columns.items()}
    kinds = [op[:3] for op in mapping["fields_by_kind"]]
    records = []
    for number in range(draw(st.integers(1, 12))):
        record = good | {"foreign": "", "listed": "contact", "id": f"e{number}"}
        record[KIND_COLUMN] = draw(st.sampled_from(kinds))
        for name in draw(st.lists(st.sampled_from(sorted(columns)), max_size=2)):
            record[name] = draw(blanks | CELLS[columns[name]] | st.sampled_from(["a", "b"]))
        records.append(record)
    return mapping, records


def compare(
    mapping: FileMapping,
    zone: ZoneInfo,
    content: str,
    lookups: list[Callable[[str], str | None]],
) -> None:
    """Compare what is read, and what is sent, with what the naive way makes of each record."""
    expected = [naive_event(mapping, zone, KEY, look_up) for look_up in lookups]
    with TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        path.write_bytes(content.encode())
        rows = list(read(path, mapping, zone, event_id_key=KEY))
    told = [row for row in rows if isinstance(row, EventRow | Reject)]
    assert [_event_or_reason(row) for row in told] == expected
    sent = writer_pb2.ImportEventsRequest()
    for row, event in zip(told, expected, strict=True):
        if isinstance(event, event_pb2.Event):
            sent.chunk.items.add(position=row.line_number, event=event)
    [chunk] = chunks_of(iter(rows))
    assert chunk.item_bytes == sum(item.ByteSize() for item in sent.chunk.items)
    if chunk.event_rows:
        assert writer_pb2.ImportEventsRequest.FromString(chunk.request) == sent


def _event_or_reason(row: Row) -> event_pb2.Event | str:
    if isinstance(row, EventRow):
        return event_pb2.Event.FromString(row.event)
    assert isinstance(row, Reject)
    return row.reason


@given(files(is_csv=True), st.sampled_from(ZONES))
def test_a_csv_file_is_read_as_the_naive_way_does(
    file: tuple[dict[str, Any], list[dict[str, str]]], zone_name: str
) -> None:
    """Events, their ids and the reasons of rejects, whatever the mapping takes from where."""
    document, records = file
    names = list(records[0])
    lines = [names, *(list(record.values()) for record in records)]
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in line] for line in lines]
    content = "".join(";".join(line) + "\n" for line in quoted)
    compare(
        parse_mapping(document), ZoneInfo(zone_name), content, [record.get for record in records]
    )


@given(files(is_csv=False), st.sampled_from(ZONES))
def test_a_json_file_is_read_as_the_naive_way_does(
    file: tuple[dict[str, Any], list[dict[str, str]]], zone_name: str
) -> None:
    """The same of JSON Lines, where a record may lack any column."""
    document, records = file
    given = [{name: cell for name, cell in record.items() if cell != "b"} for record in records]
    content = "".join(json.dumps(_nested(record)) + "\n" for record in given)
    compare(parse_mapping(document), ZoneInfo(zone_name), content, [one.get for one in given])


@given(
    st.sampled_from(["2011-03-27", "2014-10-26", "2025-03-09", "2025-11-02", "1972-01-07"])
    | st.dates(date(1890, 1, 1)).map(date.isoformat),
    st.lists(st.times(), min_size=1),
    st.sampled_from(ZONES),
)
def test_times_of_a_day_are_read_alike(day: str, times: list[time], zone_name: str) -> None:
    """Whether the day's clocks are changed or not, and whatever else of it was read before."""
    zone = ZoneInfo(zone_name)
    dates = DateReader(["iso"], zone)
    for one in times:
        text = f"{day}T{one.isoformat('seconds')}"
        local = local_to_instant(datetime.fromisoformat(text), zone)
        if is_in_range(local):
            assert dates.read(text) == local
        else:
            with pytest.raises(ValueError, match="18"):
                dates.read(text)


def _nested(record: dict[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, cell in record.items():
        parent, _, part = name.rpartition(".")
        (document.setdefault(parent, {}) if parent else document)[part] = cell
    return document
