"""The mapping: how the columns of a bank's file become the fields of events.

What lives here: the mapping's value and reading it from YAML, every fault listed. Its format is
described in docs/import.md. Applying it to a row is in `conversion`.
"""

import codecs
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from service.importing.errors import MappingInvalidError
from service.importing.forms import EVENT_FORMS, FIELD_NAMES, INSTANT_ALIAS

ISO_FORMAT: Final = "iso"
"""The date format name for ISO 8601 dates and times, with or without an offset."""

ENCODINGS: Final = ("utf-8", "utf-8-sig", "cp1251")
DERIVED_EVENT_ID: Final = "derive"
DEFAULT_DELIMITER: Final = ";"
DEFAULT_QUOTE: Final = '"'

_KEYS: Final = frozenset(
    {
        "format",
        "encoding",
        "delimiter",
        "quote",
        "zone",
        "date_formats",
        "kind",
        "event_id",
        "fields",
        "fields_by_kind",
    }
)
_FIELD_KEYS: Final = frozenset({"column", "constant", "values", "optional"})
_FLAGS: Final = {"true": True, "false": False}
_DATE_DIRECTIVES: Final = re.compile(r"(?:[^%]|%[dmYHMSfz%])+")
_DATE_PARTS: Final = ("%d", "%m", "%Y")


class FileFormat(Enum):
    """How the records of a file are written."""

    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where a field's text comes from: a column, translated by `values` if given, or a constant."""

    column: str | None = None
    constant: str | None = None
    values: Mapping[str, str] | None = None
    optional: bool = False
    """Whether the file may lack the column."""


@dataclass(frozen=True, slots=True)
class KindMapping:
    """What makes an event of one kind: its fields, and the columns that must be empty for it."""

    op: str
    fields: Mapping[str, FieldSource]
    foreign_columns: Mapping[str, str]
    """By column, the common field that this kind does not have."""


@dataclass(frozen=True, slots=True)
class FileMapping:
    """A whole mapping, without faults."""

    path: str
    format: FileFormat
    encoding: str
    delimiter: str
    quote: str
    zone: ZoneInfo | None
    """The zone of dates without an offset; None is the company zone."""
    date_formats: tuple[str, ...]
    kind: FieldSource
    event_id: FieldSource | None
    """None derives the event id from the content of the event."""
    kinds: Mapping[str, KindMapping]

    def sources(self) -> Iterator[FieldSource]:
        """Give every source of the mapping, some more than once."""
        yield self.kind
        if self.event_id is not None:
            yield self.event_id
        for kind in self.kinds.values():
            yield from kind.fields.values()


class _TextLoader(yaml.BaseLoader):
    """Reads every scalar as text, so that `no`, `0012` and `2024-01-31` stay what they are.

    A repeated key is an error instead of the last one winning.
    """

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - the base class's signature
    ) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is no text", key_node.start_mark
                )
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} is given twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def load_mapping(path: Path) -> FileMapping:
    """Read a mapping file.

    Raises MappingInvalidError, with every fault listed, when it can not be read or is wrong.
    """
    try:
        document = yaml.load(
            path.read_text(encoding="utf-8-sig"),
            Loader=_TextLoader,  # noqa: S506 - it makes strings, lists and mappings only
        )
    except OSError as error:
        raise MappingInvalidError(str(path), [error.strerror or "can not be read"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MappingInvalidError(str(path), [f"not YAML in UTF-8: {error}"]) from error
    except RecursionError as error:
        raise MappingInvalidError(str(path), ["nested far too deeply"]) from error
    return parse_mapping(document, str(path))


def parse_mapping(document: object, path: str = "given") -> FileMapping:
    """Check a mapping document whose scalars are all text. Raises MappingInvalidError."""
    return _MappingReader(path).read(document)


class _MappingReader:
    """Collects faults while it reads, so that all are reported at once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._faults: list[str] = []

    def read(self, document: object) -> FileMapping:
        top = self._mapping(document, "the mapping", _KEYS)
        file_format = self._format(top.get("format"))
        date_formats = self._date_formats(top.get("date_formats", [ISO_FORMAT]))
        kind = self._kind(top.get("kind"))
        mapping = FileMapping(
            path=self._path,
            format=file_format,
            encoding=self._encoding(top.get("encoding", ENCODINGS[0])),
            delimiter=self._character(top, "delimiter", DEFAULT_DELIMITER),
            quote=self._character(top, "quote", DEFAULT_QUOTE),
            zone=self._zone(top.get("zone")),
            date_formats=date_formats,
            kind=kind,
            event_id=self._event_id(top.get("event_id", DERIVED_EVENT_ID)),
            kinds=self._kinds(kind, top.get("fields", {}), top.get("fields_by_kind", {})),
        )
        if file_format is FileFormat.CSV and mapping.delimiter == mapping.quote:
            self._faults.append("delimiter and quote: must differ")
        if self._faults:
            raise MappingInvalidError(self._path, self._faults)
        return mapping

    def _mapping(self, value: object, where: str, known: frozenset[str] | None) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            self._faults.append(f"{where}: must be a mapping")
            return {}
        unknown = sorted(set(value) - known) if known is not None else []
        if unknown:
            self._faults.append(
                f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known or ()))}"
            )
        return value

    def _format(self, value: object) -> FileFormat:
        try:
            return FileFormat(value)
        except ValueError:
            self._faults.append("format: must be csv or jsonl")
            return FileFormat.CSV

    def _encoding(self, value: object) -> str:
        if not isinstance(value, str) or value.lower() not in ENCODINGS:
            self._faults.append(f"encoding: must be one of {', '.join(ENCODINGS)}")
            return ENCODINGS[0]
        # The byte-order mark is dealt with once, at the start of the file, for every encoding.
        return codecs.lookup(value.lower().removesuffix("-sig")).name

    def _character(self, top: Mapping[str, Any], key: str, default: str) -> str:
        value = {"tab": "\t"}.get(str(top.get(key, default)).lower(), top.get(key, default))
        if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n":
            self._faults.append(f"{key}: must be one ASCII character, or tab")
            return default
        return value

    def _zone(self, value: object) -> ZoneInfo | None:
        if value is None:
            return None
        try:
            return ZoneInfo(str(value))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._faults.append(f"zone: {value!r} is not an IANA zone such as Europe/Moscow")
            return None

    def _date_formats(self, value: object) -> tuple[str, ...]:
        formats = [value] if isinstance(value, str) else value
        if not isinstance(formats, list) or not formats:
            self._faults.append("date_formats: must be a list of formats")
            return (ISO_FORMAT,)
        for text in formats:
            if text != ISO_FORMAT and not _is_date_format(text):
                self._faults.append(
                    f"date_formats: {text!r} must be iso, or have %d, %m and %Y, "
                    "and of the rest only %H %M %S %f %z"
                )
        return tuple(str(text) for text in formats)

    def _kind(self, value: object) -> FieldSource:
        source = self._source("kind", value if isinstance(value, dict) else {"constant": value})
        if source.column is not None and not source.values:
            self._faults.append("kind: a column needs values, from its texts to kinds of event")
        if source.optional:
            self._faults.append("kind: can not be optional")
        for op in _ops_of(source):
            if op not in EVENT_FORMS:
                self._faults.append(
                    f"kind: {op!r} is unknown; known are {', '.join(sorted(EVENT_FORMS))}"
                )
        return source

    def _event_id(self, value: object) -> FieldSource | None:
        if value == DERIVED_EVENT_ID:
            return None
        source = self._source("event_id", value)
        if source.column is None:
            self._faults.append("event_id: must be derive or a column")
        return source

    def _kinds(self, kind: FieldSource, common: object, by_kind: object) -> dict[str, KindMapping]:
        shared = self._sources(common, "fields")
        own = self._mapping(by_kind, "fields_by_kind", frozenset(EVENT_FORMS))
        ops = [op for op in _ops_of(kind) if op in EVENT_FORMS]
        for op in sorted((set(own) & set(EVENT_FORMS)) - set(ops)):
            self._faults.append(f"fields_by_kind.{op}: no row is of this kind")
        for name in shared:
            if (
                ops
                and name != INSTANT_ALIAS
                and not any(name in EVENT_FORMS[op].fields for op in ops)
            ):
                self._faults.append(f"fields.{name}: no row is of a kind that has it")
        return {
            op: self._kind_mapping(
                op, shared, self._sources(own.get(op, {}), f"fields_by_kind.{op}")
            )
            for op in ops
        }

    def _kind_mapping(
        self, op: str, shared: Mapping[str, FieldSource], own: Mapping[str, FieldSource]
    ) -> KindMapping:
        form = EVENT_FORMS[op]
        fields: dict[str, FieldSource] = {}
        foreign: dict[str, str] = {}
        for where, sources in (("fields", shared), (f"fields_by_kind.{op}", own)):
            for name, source in sources.items():
                target = (form.instant_field or name) if name == INSTANT_ALIAS else name
                if target in form.fields:
                    fields[target] = source
                elif sources is own:
                    self._faults.append(f"{where}.{name}: a {op} has no such field")
                elif source.column is not None:
                    foreign[source.column] = name
        for name in sorted(form.required - set(fields)):
            self._faults.append(f"fields: a {op} needs {name}")
        used = {source.column for source in fields.values()}
        foreign = {column: name for column, name in foreign.items() if column not in used}
        return KindMapping(op, fields, foreign)

    def _sources(self, value: object, where: str) -> dict[str, FieldSource]:
        entries = self._mapping(value, where, None)
        for name in sorted(set(entries) - FIELD_NAMES):
            self._faults.append(f"{where}: no kind of event has a field {name!r}")
        return {
            name: self._source(f"{where}.{name}", entry)
            for name, entry in entries.items()
            if name in FIELD_NAMES
        }

    def _source(self, where: str, value: object) -> FieldSource:
        if isinstance(value, str):
            return FieldSource(column=value.strip())
        entry = self._mapping(value, where, _FIELD_KEYS)
        column, constant = entry.get("column"), entry.get("constant")
        values = entry.get("values")
        if (isinstance(column, str) and bool(column)) == (
            isinstance(constant, str) and bool(constant)
        ):
            self._faults.append(f"{where}: must name either a column or a constant")
            return FieldSource(constant="")
        if values is not None and not (
            isinstance(values, dict) and all(isinstance(text, str) for text in values.values())
        ):
            self._faults.append(f"{where}.values: must be a mapping from text to text")
            values = None
        optional = _FLAGS.get(str(entry.get("optional", "false")).lower())
        if optional is None:
            self._faults.append(f"{where}.optional: must be true or false")
        return FieldSource(column and column.strip(), constant, values, bool(optional))


def _ops_of(kind: FieldSource) -> list[str]:
    if kind.constant is not None:
        return [kind.constant] if kind.constant else []
    return list(dict.fromkeys((kind.values or {}).values()))


def _is_date_format(text: object) -> bool:
    return (
        isinstance(text, str)
        and _DATE_DIRECTIVES.fullmatch(text) is not None
        and all(text.count(part) == 1 for part in _DATE_PARTS)
    )
