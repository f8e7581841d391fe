"""The naive way from the records of a file to events, one by one and field by field.

What lives here: what the importing of files has to come to, written to be read and not to be fast.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from maywe.v1 import common_pb2, event_pb2

from decision.document_reader import (
    FREE_TEXT_LENGTH_MAX,
    IDENTIFIER_LENGTH_MAX,
    problem_of_characters,
)
from decision.instants import (
    from_datetime,
    is_in_range,
    local_to_instant,
    parse_instant,
    parse_instant_or_date,
)
from service.importing.forms import (
    EVENT_FORMS,
    OPEN_END_FIELDS,
    PRODUCT_OPS,
    SELECTOR_OPS,
    FieldType,
)
from service.importing.mapping import ISO_FORMAT, FieldSource, FileMapping
from tests.neutral_events import NAMES, OPS, NeutralEvent

LOCAL_TIME: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?", re.ASCII
)
PRODUCT_PARTS: Final = ("system_code", "product_type", "series", "number")
SCOPE_KINDS: Final = {"contact": 1, "share": 2, "process": 3}


class Refused(Exception):  # noqa: N818 - a verdict
    """The record can not become an event."""


def naive_event(
    mapping: FileMapping, zone: ZoneInfo, key: bytes, look_up: Callable[[str], str | None]
) -> event_pb2.Event | str:
    """Make the event of a record, given how to look up its columns, or say why it has none."""
    try:
        return _message(_event(mapping, mapping.zone or zone, key, look_up))
    except Refused as refused:
        return str(refused)


def _event(
    mapping: FileMapping, zone: ZoneInfo, key: bytes, look_up: Callable[[str], str | None]
) -> NeutralEvent:
    kind = mapping.kinds[_required("kind", mapping.kind, look_up)]
    form = EVENT_FORMS[kind.op]
    event: NeutralEvent = {"op": kind.op}
    for column, name in kind.foreign_columns.items():
        if (look_up(column) or "").strip():
            raise Refused(f"column {column!r} is filled, but a {kind.op} has no {name}")
    for name, source in kind.fields.items():
        text = _text(name, source, look_up)
        if text:
            parent, _, part = name.rpartition(".")
            value = _value(form.fields[name], name, text, mapping.date_formats, zone)
            (event.setdefault(parent, {}) if parent else event)[part] = value
        elif name in form.required:
            raise Refused(f"{name} (column {source.column!r}) is empty")
    _complete(event)
    if mapping.event_id is None:
        content = json.dumps(event, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        event["event_id"] = (
            "row-" + hmac.new(key, content.encode(), hashlib.sha256).hexdigest()[:40]
        )
    else:
        text = _required("event_id", mapping.event_id, look_up)
        event["event_id"] = _checked("event_id", text, IDENTIFIER_LENGTH_MAX)
    return event


def _text(name: str, source: FieldSource, look_up: Callable[[str], str | None]) -> str:
    if source.column is None:
        return source.constant or ""
    text = (look_up(source.column) or "").strip()
    if source.values is None or not text:
        return text
    if text not in source.values:
        raise Refused(
            f"{name} (column {source.column!r}) is {_shown(text)}, "
            "which the mapping's values do not list"
        )
    return source.values[text]


def _required(name: str, source: FieldSource, look_up: Callable[[str], str | None]) -> str:
    text = _text(name, source, look_up)
    if not text:
        raise Refused(f"{name} (column {source.column!r}) is empty")
    return text


def _value(
    field_type: FieldType, name: str, text: str, formats: tuple[str, ...], zone: ZoneInfo
) -> str | int | bool:
    match field_type:
        case FieldType.IDENTIFIER:
            return _checked(name, text, IDENTIFIER_LENGTH_MAX)
        case FieldType.TEXT:
            return _checked(name, text, FREE_TEXT_LENGTH_MAX)
        case FieldType.INTEGER:
            if not re.fullmatch("[0-9]{1,10}", text) or int(text) >= 2**31:
                raise Refused(f"{name}: {_shown(text)} is not a whole number")
            return int(text)
        case FieldType.BOOLEAN:
            if text.lower() not in ("true", "1", "false", "0"):
                raise Refused(f"{name}: {_shown(text)} is neither true nor false")
            return text.lower() in ("true", "1")
        case FieldType.INSTANT:
            return _first_instant(name, text, formats, zone)


def _first_instant(name: str, text: str, formats: tuple[str, ...], zone: ZoneInfo) -> int:
    for date_format in formats:
        try:
            instant = _instant(text, date_format, zone)
        except ValueError:
            continue
        except OverflowError:
            break
        if is_in_range(instant):
            return instant
    raise Refused(
        f"{name}: {_shown(text)} is not a date in any of the mapping's formats "
        f"({', '.join(formats)}) between the years 1900 and 9999"
    )


def _instant(text: str, date_format: str, zone: ZoneInfo) -> int:
    if date_format != ISO_FORMAT:
        moment = datetime.strptime(text, date_format)  # noqa: DTZ007 - the zone is applied below
        return local_to_instant(moment, zone) if moment.tzinfo is None else from_datetime(moment)
    if LOCAL_TIME.fullmatch(text) is not None:
        return local_to_instant(datetime.fromisoformat(text), zone)
    try:
        return parse_instant_or_date(text, zone)
    except ValueError:
        return parse_instant(text)


def _checked(name: str, text: str, length_max: int) -> str:
    if len(text) > length_max:
        raise Refused(f"{name}: has {len(text)} characters, {length_max} are the most")
    problem = problem_of_characters(text)
    if problem:
        raise Refused(f"{name}: {problem}")
    return text


def _complete(event: NeutralEvent) -> None:
    op = event["op"]
    product = event.get("product", {})
    if op in PRODUCT_OPS and not product:
        raise Refused("product: nothing names it")
    if product:
        event["product"] = {part: product.get(part, "") for part in PRODUCT_PARTS}
    selector = event.get("selector", {})
    if selector.get("all") is False:
        del selector["all"]
    if op in SELECTOR_OPS and not selector:
        raise Refused("selector: nothing is selected; everything is all = true")
    if op in OPEN_END_FIELDS:
        event.setdefault(OPEN_END_FIELDS[op], None)


def _message(event: NeutralEvent) -> event_pb2.Event:
    [kind] = [kind for kind, op in OPS.items() if op == event["op"]]
    message = getattr(event_pb2.Event(), kind).__class__
    fields = {field.name: field for field in message.DESCRIPTOR.fields}
    said: dict[str, Any] = {}
    for name, field in fields.items():
        neutral = (
            "from" if (event["op"], name) == ("split", "customer_id") else NAMES.get(name, name)
        )
        value = event.get(neutral)
        if value is None:
            continue
        if isinstance(value, int) and field.message_type is not None:
            seconds, microseconds = divmod(value, 1_000_000)
            value = {"seconds": seconds, "nanos": microseconds * 1_000}
        if name == "selector":
            value = _selector(value)
        said[name] = value
    return event_pb2.Event(**{kind: message(**said)})


def _selector(selector: Mapping[str, Any]) -> common_pb2.Selector:
    if "kind" not in selector:
        return common_pb2.Selector(**selector)
    if selector["kind"] not in SCOPE_KINDS:
        raise Refused(f"selector.kind: {selector['kind']!r} is none of {', '.join(SCOPE_KINDS)}")
    return common_pb2.Selector(**{**selector, "kind": SCOPE_KINDS[selector["kind"]]})


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 40 else repr(text[:40]) + "…"
