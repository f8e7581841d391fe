"""Turning the texts of one record into an event.

What lives here: look-up by the mapping, reading of instants, numbers and yes-or-no, checks of form,
the derived event id. Whether codes exist and what an event means is the writer's to say.
"""

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import orjson

from decision.document_reader import IDENTIFIER_LENGTH_MAX, problem_of_characters
from decision.event_rules import FREE_TEXT_LENGTH_MAX
from decision.instants import (
    Instant,
    from_datetime,
    is_in_range,
    local_to_instant,
    parse_instant,
    parse_instant_or_date,
)
from service.importing.errors import EventIdKeyMissingError
from service.importing.forms import (
    EVENT_FORMS,
    OPEN_END_FIELDS,
    PRODUCT_OPS,
    SELECTOR_OPS,
    FieldType,
)
from service.importing.mapping import ISO_FORMAT, FieldSource, FileMapping, KindMapping
from service.importing.rows import NeutralEvent

SHOWN_CHARACTERS_MAX: Final = 40
"""How much of a faulty value a reason quotes."""

INSTANT_CACHE_ENTRIES: Final = 16_384
"""Dates repeat a lot in a history, and reading one is the dearest part of a row."""

INTEGER_MAX: Final = 2**31 - 1
DERIVED_ID_PREFIX: Final = "row-"
DERIVED_ID_HEX_DIGITS: Final = 40

EVENT_ID_KEY_BYTES: Final = 32
"""Length of the installation's secret, as the contract has it."""

_INTEGER: Final = re.compile(r"\d{1,10}", re.ASCII)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_LOCAL_TIME: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?", re.ASCII
)
_PRODUCT_PARTS: Final = ("system_code", "product_type", "series", "number")

Content: TypeAlias = Any
"""What a record says, in whatever form its file has."""

Lookup: TypeAlias = Callable[[Content], str | None]
"""Gives the text of one column of a record; None when the record lacks it."""


class RecordFaultError(Exception):
    """The record can not become an event; the message is the reason for its rejection."""


@dataclass(frozen=True, slots=True)
class _Field:
    """How one field of a kind of event is had from a record, worked out once for a file.

    A field of a nested object has its name as `parent`. A constant needs no look-up, and is taken
    as it stands.
    """

    name: str
    parent: str
    part: str
    source: FieldSource
    lookup: Lookup | None
    read: Callable[[str, str], str | int | bool]
    is_required: bool

    def text(self, content: Content) -> str:
        """Give the text of the field, empty when the record says none."""
        if self.lookup is None:
            return self.source.constant or ""
        text = (self.lookup(content) or "").strip()
        if self.source.values is None or not text:
            return text
        translated = self.source.values.get(text)
        if translated is None:
            raise RecordFaultError(
                f"{self.shown} is {_shown(text)}, which the mapping's values do not list"
            )
        return translated

    @property
    def shown(self) -> str:
        """Name the field and its column for a reason."""
        return f"{self.name} (column {self.source.column!r})"


class _Kind(NamedTuple):
    """How an event of one kind is had from a record."""

    op: str
    fields: Sequence[_Field]
    foreign_columns: Sequence[tuple[str, str, Lookup]]
    """Columns that must be empty, with the common field that this kind does not have."""


class EventBuilder:
    """Makes events of the records of one file. Dates without an offset are of `zone`."""

    def __init__(
        self,
        mapping: FileMapping,
        zone: ZoneInfo,
        event_id_key: bytes | None,
        lookup_of: Callable[[str], Lookup],
    ) -> None:
        """Take the key that event ids are derived with, if the mapping derives them.

        `lookup_of` gives the way to look up a column, which is asked for once for each field.
        Raises EventIdKeyMissingError.
        """
        self._event_id_key = event_id_key or b""
        if mapping.event_id is None and len(self._event_id_key) != EVENT_ID_KEY_BYTES:
            raise EventIdKeyMissingError(
                "the mapping derives event ids, which takes the installation's key of "
                f"{EVENT_ID_KEY_BYTES} bytes; the writer gives it as an import begins"
            )
        self._date_formats = mapping.date_formats
        self._zone = mapping.zone or zone
        self._parsed_instant = lru_cache(maxsize=INSTANT_CACHE_ENTRIES)(self._parse_instant)
        self._readers: Mapping[FieldType, Callable[[str, str], str | int | bool]] = {
            FieldType.IDENTIFIER: _read_identifier,
            FieldType.TEXT: _read_free_text,
            FieldType.INSTANT: self._read_instant,
            FieldType.INTEGER: _read_integer,
            FieldType.BOOLEAN: _read_boolean,
        }
        self._lookup_of = lookup_of
        self._kind = self._field("kind", mapping.kind, FieldType.IDENTIFIER)
        self._event_id = (
            None
            if mapping.event_id is None
            else self._field("event_id", mapping.event_id, FieldType.IDENTIFIER)
        )
        self._kinds = {op: self._kind_of(kind) for op, kind in mapping.kinds.items()}

    def _kind_of(self, kind: KindMapping) -> _Kind:
        form = EVENT_FORMS[kind.op]
        return _Kind(
            kind.op,
            [
                self._field(name, source, form.fields[name], is_required=name in form.required)
                for name, source in kind.fields.items()
            ],
            [
                (column, name, self._lookup_of(column))
                for column, name in kind.foreign_columns.items()
            ],
        )

    def _field(
        self, name: str, source: FieldSource, field_type: FieldType, *, is_required: bool = True
    ) -> _Field:
        parent, _, part = name.rpartition(".")
        lookup = None if source.column is None else self._lookup_of(source.column)
        reader = self._readers[field_type]
        return _Field(name, parent, part, source, lookup, reader, is_required)

    def build(self, content: Content) -> NeutralEvent:
        """Make the event of one record. Raises RecordFaultError."""
        kind = self._kinds[_required_text(self._kind, content)]
        event: NeutralEvent = {"op": kind.op}
        for column, name, lookup in kind.foreign_columns:
            # A record that says something its kind has no field for is refused: nothing is dropped.
            if (lookup(content) or "").strip():
                raise RecordFaultError(
                    f"column {column!r} is filled, but a {kind.op} has no {name}"
                )
        for field in kind.fields:
            text = field.text(content)
            if text:
                value = field.read(field.name, text)
                if field.parent:
                    event.setdefault(field.parent, {})[field.part] = value
                else:
                    event[field.part] = value
            elif field.is_required:
                raise RecordFaultError(f"{field.shown} is empty")
        _complete(event)
        event["event_id"] = (
            derived_event_id(event, self._event_id_key)
            if self._event_id is None
            else _read_identifier("event_id", _required_text(self._event_id, content))
        )
        return event

    def _read_instant(self, name: str, text: str) -> Instant:
        try:
            return self._parsed_instant(text)
        except (ValueError, OverflowError) as error:
            raise RecordFaultError(
                f"{name}: {_shown(text)} is not a date in any of the mapping's formats "
                f"({', '.join(self._date_formats)}) between the years 1900 and 9999"
            ) from error

    def _parse_instant(self, text: str) -> Instant:
        """Read a date or time (`semantics.md`, Time). Raises ValueError or OverflowError."""
        for date_format in self._date_formats:
            try:
                instant = (
                    _iso_instant(text, self._zone)
                    if date_format == ISO_FORMAT
                    else _formatted_instant(text, date_format, self._zone)
                )
            except ValueError:
                continue
            if is_in_range(instant):
                return instant
        raise ValueError(text)


def _required_text(field: _Field, content: Content) -> str:
    text = field.text(content)
    if not text:
        raise RecordFaultError(f"{field.shown} is empty")
    return text


def derived_event_id(event: NeutralEvent, key: bytes) -> str:
    """Give the id of an event that has none: an HMAC-SHA-256 of its content.

    Under one key the same content has the same id in every file and on every run, so that importing
    twice, or going on after an interruption, doubles nothing, and an exact duplicate of a row is a
    repeat. Event ids outlast an erasure: without the key, trying out customer ids finds nobody.
    """
    hashed = _keyed(key).copy()
    # As every id that was ever derived: sorted keys, no spaces, no escapes.
    hashed.update(orjson.dumps(event, option=orjson.OPT_SORT_KEYS))
    return DERIVED_ID_PREFIX + hashed.hexdigest()[:DERIVED_ID_HEX_DIGITS]


@lru_cache(maxsize=1)
def _keyed(key: bytes) -> hmac.HMAC:
    """Begin an HMAC once: the key costs more than the content of one event."""
    return hmac.new(key, digestmod="sha256")


def _iso_instant(text: str, zone: ZoneInfo) -> Instant:
    if _LOCAL_TIME.fullmatch(text) is not None:
        return local_to_instant(datetime.fromisoformat(text), zone)
    try:
        return parse_instant_or_date(text, zone)
    except ValueError:
        return parse_instant(text)


def _formatted_instant(text: str, date_format: str, zone: ZoneInfo) -> Instant:
    # A date without a time reads as midnight, the start of that day.
    moment = datetime.strptime(text, date_format)  # noqa: DTZ007 - the zone is applied below
    return local_to_instant(moment, zone) if moment.tzinfo is None else from_datetime(moment)


def _read_integer(name: str, text: str) -> int:
    if _INTEGER.fullmatch(text) is None or int(text) > INTEGER_MAX:
        raise RecordFaultError(f"{name}: {_shown(text)} is not a whole number")
    return int(text)


def _read_boolean(name: str, text: str) -> bool:
    flag = _BOOLEANS.get(text.lower())
    if flag is None:
        raise RecordFaultError(f"{name}: {_shown(text)} is neither true nor false")
    return flag


def _read_text(length_max: int, name: str, text: str) -> str:
    if len(text) > length_max:
        raise RecordFaultError(f"{name}: has {len(text)} characters, {length_max} are the most")
    problem = problem_of_characters(text)
    if problem:
        raise RecordFaultError(f"{name}: {problem}")
    return text


_read_identifier: Final = partial(_read_text, IDENTIFIER_LENGTH_MAX)
_read_free_text: Final = partial(_read_text, FREE_TEXT_LENGTH_MAX)


def _complete(event: NeutralEvent) -> None:
    """Bring what is absent to the shape of a case file's step."""
    op = event["op"]
    product: dict[str, Any] = event.get("product", {})
    if op in PRODUCT_OPS and not product:
        raise RecordFaultError("product: nothing names it")
    if product:
        event["product"] = {part: product.get(part, "") for part in _PRODUCT_PARTS}
    selector: dict[str, Any] = event.get("selector", {})
    if selector.get("all") is False:
        del selector["all"]
    if op in SELECTOR_OPS and not selector:
        raise RecordFaultError("selector: nothing is selected; everything is all = true")
    if op in OPEN_END_FIELDS:
        event.setdefault(OPEN_END_FIELDS[op], None)


def _shown(text: str) -> str:
    if len(text) <= SHOWN_CHARACTERS_MAX:
        return repr(text)
    return repr(text[:SHOWN_CHARACTERS_MAX]) + "…"
