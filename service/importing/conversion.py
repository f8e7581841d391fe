"""Turning the texts of one record into an event.

What lives here: look-up by the mapping, reading of instants, numbers and yes-or-no, checks of form,
the derived event id. Whether codes exist and what an event means is the writer's to say.
"""

import hmac
import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

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
_LENGTHS_MAX: Final = {
    FieldType.IDENTIFIER: IDENTIFIER_LENGTH_MAX,
    FieldType.TEXT: FREE_TEXT_LENGTH_MAX,
}
_PRODUCT_PARTS: Final = ("system_code", "product_type", "series", "number")

Lookup: TypeAlias = Callable[[str], str | None]
"""Gives the text of a column in one record; None when the record lacks it."""


class RecordFaultError(Exception):
    """The record can not become an event; the message is the reason for its rejection."""


class EventBuilder:
    """Makes events of the records of one file. Dates without an offset are of `zone`."""

    def __init__(self, mapping: FileMapping, zone: ZoneInfo, event_id_key: bytes | None) -> None:
        """Take the key that event ids are derived with, if the mapping derives them.

        Raises EventIdKeyMissingError.
        """
        self._event_id_key = event_id_key or b""
        if mapping.event_id is None and len(self._event_id_key) != EVENT_ID_KEY_BYTES:
            raise EventIdKeyMissingError(
                "the mapping derives event ids, which takes the installation's key of "
                f"{EVENT_ID_KEY_BYTES} bytes; the writer gives it as an import begins"
            )
        self._mapping = mapping
        self._zone = mapping.zone or zone
        self._read_instant = lru_cache(maxsize=INSTANT_CACHE_ENTRIES)(self._parse_instant)

    def build(self, lookup: Lookup) -> NeutralEvent:
        """Make the event of one record. Raises RecordFaultError."""
        kind = self._kind(lookup)
        event: NeutralEvent = {"op": kind.op}
        _check_foreign_columns(kind, lookup)
        form = EVENT_FORMS[kind.op]
        for name, source in kind.fields.items():
            text = _text(name, source, lookup)
            if text:
                _put(event, name, value=self._value(name, form.fields[name], text))
            elif name in form.required:
                raise RecordFaultError(f"{_named(name, source)} is empty")
        _complete(event)
        event["event_id"] = self._event_id(event, lookup)
        return event

    def _kind(self, lookup: Lookup) -> KindMapping:
        source = self._mapping.kind
        op = _text("kind", source, lookup)
        if not op:
            raise RecordFaultError(f"{_named('kind', source)} is empty")
        return self._mapping.kinds[op]

    def _event_id(self, event: NeutralEvent, lookup: Lookup) -> str:
        source = self._mapping.event_id
        if source is None:
            return derived_event_id(event, self._event_id_key)
        text = _text("event_id", source, lookup)
        if not text:
            raise RecordFaultError(f"{_named('event_id', source)} is empty")
        _check_text("event_id", FieldType.IDENTIFIER, text)
        return text

    def _value(self, name: str, field_type: FieldType, text: str) -> str | int | bool:
        match field_type:
            case FieldType.INSTANT:
                return self._instant(name, text)
            case FieldType.INTEGER:
                if _INTEGER.fullmatch(text) is None or int(text) > INTEGER_MAX:
                    raise RecordFaultError(f"{name}: {_shown(text)} is not a whole number")
                return int(text)
            case FieldType.BOOLEAN:
                flag = _BOOLEANS.get(text.lower())
                if flag is None:
                    raise RecordFaultError(f"{name}: {_shown(text)} is neither true nor false")
                return flag
            case FieldType.IDENTIFIER | FieldType.TEXT:
                _check_text(name, field_type, text)
                return text

    def _instant(self, name: str, text: str) -> Instant:
        try:
            return self._read_instant(text)
        except (ValueError, OverflowError) as error:
            raise RecordFaultError(
                f"{name}: {_shown(text)} is not a date in any of the mapping's formats "
                f"({', '.join(self._mapping.date_formats)}) between the years 1900 and 9999"
            ) from error

    def _parse_instant(self, text: str) -> Instant:
        """Read a date or time (`semantics.md`, Time). Raises ValueError or OverflowError."""
        for date_format in self._mapping.date_formats:
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


def derived_event_id(event: NeutralEvent, key: bytes) -> str:
    """Give the id of an event that has none: an HMAC-SHA-256 of its content.

    Under one key the same content has the same id in every file and on every run, so that importing
    twice, or going on after an interruption, doubles nothing, and an exact duplicate of a row is a
    repeat. Event ids outlast an erasure: without the key, trying out customer ids finds nobody.
    """
    content = {name: value for name, value in event.items() if name != "event_id"}
    hashed = _keyed(key).copy()
    hashed.update(_CANONICAL.encode(content).encode())
    return DERIVED_ID_PREFIX + hashed.hexdigest()[:DERIVED_ID_HEX_DIGITS]


_CANONICAL: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


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


def _text(name: str, source: FieldSource, lookup: Lookup) -> str:
    if source.column is None:
        return source.constant or ""
    text = (lookup(source.column) or "").strip()
    if not text or source.values is None:
        return text
    translated = source.values.get(text)
    if translated is None:
        raise RecordFaultError(
            f"{_named(name, source)} is {_shown(text)}, which the mapping's values do not list"
        )
    return translated


def _check_foreign_columns(kind: KindMapping, lookup: Lookup) -> None:
    """Refuse a record that says something its kind has no field for, rather than drop it."""
    for column, name in kind.foreign_columns.items():
        if (lookup(column) or "").strip():
            raise RecordFaultError(f"column {column!r} is filled, but a {kind.op} has no {name}")


def _check_text(name: str, field_type: FieldType, text: str) -> None:
    length_max = _LENGTHS_MAX[field_type]
    if len(text) > length_max:
        raise RecordFaultError(f"{name}: has {len(text)} characters, {length_max} are the most")
    # What is printable has no forbidden character; asking that first is much the cheaper.
    problem = "" if text.isprintable() else problem_of_characters(text)
    if problem:
        raise RecordFaultError(f"{name}: {problem}")


def _put(event: NeutralEvent, name: str, *, value: str | int | bool) -> None:
    parent, _, part = name.rpartition(".")
    if parent:
        event.setdefault(parent, {})[part] = value
    else:
        event[name] = value


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


def _named(name: str, source: FieldSource) -> str:
    return f"{name} (column {source.column!r})"


def _shown(text: str) -> str:
    if len(text) <= SHOWN_CHARACTERS_MAX:
        return repr(text)
    return repr(text[:SHOWN_CHARACTERS_MAX]) + "…"
