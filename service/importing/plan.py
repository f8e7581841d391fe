"""How the records of one kind are made into events, worked out once for a file.

What lives here: which cells are read and how, and in which order what they say is put together.
Records are read column by column, many at once; what a cell says is kept by its text, as most texts
come again. Records of which one is at fault are at fault together: whoever asks asks for fewer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from service.conversion import wire
from service.importing.forms import EVENT_FORMS, PRODUCT_OPS, SELECTOR_OPS, FieldType
from service.importing.mapping import FieldSource, KindMapping
from service.importing.messages import (
    EVENT_ID,
    NOTHING,
    SCOPE_KIND_FIELD,
    FieldForm,
    Said,
    check_scope_kinds,
    field_form,
    field_number,
    json_key,
    kind_number,
)
from service.importing.values import Reader, RecordFaultError, shown

CELLS_KEPT_MAX: Final = 4_096
"""Texts of a column whose reading is kept; then it begins anew."""

CELL_CHARACTERS_KEPT_MAX: Final = 64
"""What is longer is no code and no date, and hardly comes again."""

Content: TypeAlias = Any
"""What a record says, in whatever form its file has."""

Lookup: TypeAlias = Callable[[Content], str | None]
"""Gives the text of one column of a record; None when the record lacks it."""

LookupOf: TypeAlias = Callable[[str], Lookup]
"""Gives the way to look up a column."""

Column: TypeAlias = tuple[Sequence[bytes], Sequence[bytes]]
"""What a field says in each of some records: members of JSON objects, and fields of messages."""

EventIdsOf: TypeAlias = Callable[[Sequence[Content], Iterable[bytes]], Iterable[str]]
"""Gives the ids of events, by their records and by what these say as members of JSON objects, each
with a comma before it. May raise RecordFaultError."""


def cell_text(name: str, source: FieldSource, cell: str | None) -> str:
    """Give the text of a field, empty when its cell says none. Raises RecordFaultError."""
    text = (cell or "").strip()
    if source.values is None or not text:
        return text
    translated = source.values.get(text)
    if translated is None:
        raise RecordFaultError(
            f"{shown_field(name, source)} is {shown(text)}, which the mapping's values do not list"
        )
    return translated


def shown_field(name: str, source: FieldSource) -> str:
    """Name a field and its column for a reason."""
    return f"{name} (column {source.column!r})"


class _Cells(dict[str | None, Said]):
    """What the cells of one field say, by their text. Raises RecordFaultError."""

    def __init__(
        self,
        name: str,
        source: FieldSource,
        lookup: Lookup,
        form: FieldForm,
        read: Reader,
        *,
        is_required: bool,
    ) -> None:
        self._name = name
        self._source = source
        self._lookup = lookup
        self._form = form
        self._read = read
        self._is_required = is_required

    def column(self, contents: Sequence[Content]) -> Column:
        """Give what the field says in each of some records."""
        members, fields = zip(*map(self.__getitem__, map(self._lookup, contents)), strict=True)
        return members, fields

    def __missing__(self, cell: str | None) -> Said:
        text = cell_text(self._name, self._source, cell)
        if text:
            said = self._form.say(self._read(self._name, text))
        elif self._is_required:
            raise RecordFaultError(f"{shown_field(self._name, self._source)} is empty")
        else:
            said = self._form.absent
        if cell is None or len(cell) <= CELL_CHARACTERS_KEPT_MAX:
            if len(self) >= CELLS_KEPT_MAX:
                self.clear()
            self[cell] = said
        return said


class _Nested(NamedTuple):
    """A message within the message of an event."""

    head: bytes
    number: int
    places: Sequence[int]

    def column(self, parts: Sequence[Column]) -> Column:
        """Put together what the parts of it say in each record; nothing where none of them does."""
        members, fields = _together([parts[place] for place in self.places])
        head, number = self.head, self.number
        messages = list(fields)
        return (
            [
                b"".join((head, member[1:], b"}")) if message else b""
                for member, message in zip(members, messages, strict=True)
            ],
            [wire.head(number, len(message)) + message if message else b"" for message in messages],
        )


class KindPlan:
    """How an event of one kind is had from a record."""

    def __init__(
        self, kind: KindMapping, readers: Mapping[FieldType, Reader], lookup_of: LookupOf
    ) -> None:
        self._op = kind.op
        self._number = kind_number(kind.op)
        self._id_number = field_number(kind.op, EVENT_ID)
        self._foreign = [
            (column, name, lookup_of(column)) for column, name in kind.foreign_columns.items()
        ]
        self._cells: list[_Cells] = []
        self._constants: list[Said] = []
        self._constant_fault = ""
        """For which every record is rejected that has none in an earlier field."""
        names = self._read_fields(kind.fields, readers, lookup_of)
        self._arrange(names)

    def _read_fields(
        self,
        fields: Mapping[str, FieldSource],
        readers: Mapping[FieldType, Reader],
        lookup_of: LookupOf,
    ) -> Sequence[str]:
        """Take the fields of the mapping; give the names of cells and constants, in this order."""
        form = EVENT_FORMS[self._op]
        names: list[str] = []
        constants: dict[str, Said] = {"op": (json_key("op") + orjson.dumps(self._op), b"")}
        for name, source in fields.items():
            field, read = field_form(self._op, name), readers[form.fields[name]]
            if source.column is None:
                try:
                    constants[name] = field.say(read(name, source.constant or ""))
                except RecordFaultError as error:
                    self._constant_fault = str(error)
                    break
            else:
                names.append(name)
                lookup, is_required = lookup_of(source.column), name in form.required
                self._cells.append(
                    _Cells(name, source, lookup, field, read, is_required=is_required)
                )
        parents = {_parent(name) for name in (*names, *constants)}
        for name in form.fields:
            absent = field_form(self._op, name).absent
            if absent is not NOTHING and name not in fields and _parent(name) in parents:
                constants[name] = absent
        self._constants = list(constants.values())
        return [*names, *constants]

    def _arrange(self, names: Sequence[str]) -> None:
        """Work out the order in which what is said is put together: that of the names."""
        places = {name: place for place, name in enumerate(names)}
        parents = sorted({_parent(name) for name in names} - {""})
        self._nested = [
            _Nested(
                json_key(parent) + b"{",
                field_number(self._op, parent),
                [places[name] for name in sorted(names) if _parent(name) == parent],
            )
            for parent in parents
        ]
        places |= {parent: len(names) + place for place, parent in enumerate(parents)}
        self._in_order = [places[name] for name in sorted(places) if not _parent(name)]
        self._needed: list[tuple[int | None, str]] = []
        if self._op in PRODUCT_OPS:
            self._needed.append((places.get("product"), "product: nothing names it"))
        if self._op in SELECTOR_OPS:
            problem = "selector: nothing is selected; everything is all = true"
            self._needed.append((places.get("selector"), problem))
        self._scope_kind = places.get(SCOPE_KIND_FIELD)

    def events(self, contents: Sequence[Content], event_ids_of: EventIdsOf) -> list[bytes]:
        """Give the `Event` of each of some records, as bytes.

        Raises RecordFaultError when one of them has none; of a single record it is the reason.
        """
        said = self._said(contents)
        members, fields = _together([said[place] for place in self._in_order])
        event_ids = event_ids_of(contents, members)
        id_number, number = self._id_number, self._number
        id_fields = [wire.text(id_number, event_id.encode()) for event_id in event_ids]
        if self._scope_kind is not None:
            check_scope_kinds(*said[self._scope_kind])
        messages = map(bytes.__add__, id_fields, fields)
        return [wire.head(number, len(message)) + message for message in messages]

    def _said(self, contents: Sequence[Content]) -> Sequence[Column]:
        for column, name, lookup in self._foreign:
            # A record that says something its kind has no field for is refused: nothing is dropped.
            if any((lookup(content) or "").strip() for content in contents):
                raise RecordFaultError(
                    f"column {column!r} is filled, but a {self._op} has no {name}"
                )
        said = [cells.column(contents) for cells in self._cells]
        if self._constant_fault:
            raise RecordFaultError(self._constant_fault)
        count = len(contents)
        said += [([member] * count, [field] * count) for member, field in self._constants]
        said += [nested.column(said) for nested in self._nested]
        for place, problem in self._needed:
            if place is None or not all(said[place][1]):
                raise RecordFaultError(problem)
        return said


def _together(columns: Sequence[Column]) -> tuple[Iterable[bytes], Iterable[bytes]]:
    """Put together what several fields say in each record."""
    members = map(b"".join, zip(*[members for members, _ in columns], strict=True))
    fields = map(b"".join, zip(*[fields for _, fields in columns], strict=True))
    return members, fields


def _parent(name: str) -> str:
    """Give the name of the message that a field is a part of, which is empty for the event's."""
    return name.rpartition(".")[0]
