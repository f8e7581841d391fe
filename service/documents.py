"""Catalog documents: text in YAML or JSON becomes mappings, lists and scalars.

What lives here: reading the text safely. YAML is read as version 1.2 means it, without its traps:
only true and false are truth values, dates and fractions stay texts, keys stand once, there are no
tags, and what aliases repeat is bounded. What the document means, and what is wrong with that, is
`decision.catalog_document`'s.
"""

import json
import re
from enum import Enum
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from decision.document_reader import problem_of_characters
from decision.errors import (
    DocumentFault,
    FieldFault,
    InvalidArgumentError,
    PublicationRefusedError,
)

DOCUMENT_BYTES_MAX: Final = 3 * 1024 * 1024
"""A document in UTF-8 may be so long, as the contract says."""

DEPTH_MAX: Final = 32
"""Mappings and lists within one another; a catalog needs six."""

REPEATED_CHARACTERS_MAX: Final = DOCUMENT_BYTES_MAX
"""What aliases repeat may amount to so much: a document grows to twice the limit at the most."""

INTEGER_DIGITS_MAX: Final = 18
"""More are no number that a catalog could need."""

_BYTE_ORDER_MARK: Final = "\ufeff"

# The C reader where there is one: a hundred times as fast. The events are the same.
_YAML_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL: Final = re.compile(r"~|null|Null|NULL|")
_TRUE: Final = re.compile(r"true|True|TRUE")
_FALSE: Final = re.compile(r"false|False|FALSE")
_INTEGER: Final = re.compile(rf"[-+]?[0-9]{{1,{INTEGER_DIGITS_MAX}}}", re.ASCII)


class Format(Enum):
    """How a document is written."""

    YAML = "YAML"
    JSON = "JSON"


def format_of(document: str) -> Format:
    """Tell how a document is written by its first character that is not white space."""
    return Format.JSON if document.lstrip(_BYTE_ORDER_MARK + " \t\r\n")[:1] == "{" else Format.YAML


def read_document(document: str, written_as: Format | None = None) -> object:
    """Read a document; without a format its first character tells.

    Raises InvalidArgumentError when it is absent or too long, and PublicationRefusedError with one
    fault when the text is neither YAML nor JSON.
    """
    size = len(document.encode())
    if not document.strip(_BYTE_ORDER_MARK + " \t\r\n"):
        raise InvalidArgumentError(FieldFault("document", "is missing: send the catalog"))
    if size > DOCUMENT_BYTES_MAX:
        problem = f"has {size} bytes, {DOCUMENT_BYTES_MAX} are the most"
        raise InvalidArgumentError(FieldFault("document", problem))
    text = document.removeprefix(_BYTE_ORDER_MARK)
    if (written_as or format_of(document)) is Format.JSON:
        return _read_json(text)
    return _YamlReader(text).read()


def _refuse(problem: str, remedy: str, path: str = "") -> NoReturn:
    raise PublicationRefusedError([DocumentFault(path, problem, remedy)])


class _Repeated(dict[str, object]):
    """A JSON object in which a key stands twice; only the outermost reader knows where it is."""

    key: str


def _read_json(text: str) -> object:
    try:
        content = json.loads(
            text,
            object_pairs_hook=_json_object,
            parse_float=str,
            parse_constant=str,
            parse_int=_json_integer,
        )
    except json.JSONDecodeError as error:
        _refuse(
            f"line {error.lineno}, column {error.colno}: this is no JSON: {error.msg}",
            "correct the text there",
        )
    except RecursionError:
        _refuse_depth()
    _check_json(content, None, DEPTH_MAX)
    return content


def _json_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) == len(pairs):
        return content
    seen: set[str] = set()
    repeated = _Repeated(content)
    repeated.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # add gives None, which is what is wanted
    return repeated


def _json_integer(text: str) -> int | str:
    return int(text) if _INTEGER.fullmatch(text) else text


class _Place(NamedTuple):
    """Where something stands; its path is put together only when there is something to say."""

    parent: "_Place | None"
    step: str

    @property
    def path(self) -> str:
        steps = []
        place: _Place | None = self
        while place is not None:
            steps.append(place.step)
            place = place.parent
        return "".join(reversed(steps)).removeprefix(".")


def _check_json(content: object, place: _Place | None, depth_left: int) -> None:
    """Refuse keys that stand twice or cannot be kept, and what is nested too deeply."""
    if not depth_left:
        _refuse_depth()
    if isinstance(content, _Repeated):
        problem = f"the key {content.key!r} stands twice"
        _refuse(problem, "give every key once", place.path if place else "")
    if isinstance(content, dict):
        for key, value in content.items():
            problem = problem_of_characters(key)
            if problem:
                path = place.path if place else ""
                _refuse(f"the key {key!r} {problem}", "write a key that can be printed", path)
            _check_json(value, _Place(place, f".{key}"), depth_left - 1)
    elif isinstance(content, list):
        for index, value in enumerate(content):
            _check_json(value, _Place(place, f"[{index}]"), depth_left - 1)


def _refuse_depth() -> NoReturn:
    _refuse(f"mappings and lists are nested more than {DEPTH_MAX} deep", "nest them less deeply")


class _Anchored(NamedTuple):
    """A value that aliases may repeat, and how many characters it comes to."""

    value: object
    size: int


class _YamlReader:
    """Builds the content from YAML's events, so that nothing is resolved or guessed."""

    def __init__(self, text: str) -> None:
        self._events = iter(yaml.parse(text, Loader=_YAML_LOADER))
        self._depth = 0
        self._size = 0
        self._anchored: dict[str, _Anchored] = {}
        self._room = REPEATED_CHARACTERS_MAX

    def read(self) -> object:
        content: object = None
        document_count = 0
        try:
            for event in self._events:
                if isinstance(event, DocumentStartEvent):
                    document_count += 1
                    if document_count > 1:
                        _refuse_at(event, "a second document begins", "send one document")
                    content = self._value(next(self._events))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
            _refuse(f"{place}this is no YAML: {error.problem or error.context}", "correct it there")
        except yaml.reader.ReaderError as error:
            _refuse(f"this is no YAML: {error.reason}", "take out what can not be printed")
        return content

    def _value(self, event: Event) -> object:
        if isinstance(event, AliasEvent):
            return self._repeat(event)
        if getattr(event, "tag", None):
            _refuse_at(event, "tags are not read", "leave the tag out")
        size_before = self._size
        value = self._node(event)
        anchor = getattr(event, "anchor", None)
        if anchor:
            # Only now: a value can not hold an alias of itself.
            self._anchored[anchor] = _Anchored(value, self._size - size_before)
        return value

    def _repeat(self, event: AliasEvent) -> object:
        anchored = self._anchored.get(event.anchor or "")
        if anchored is None:
            _refuse_at(event, f"the alias {event.anchor!r} has no anchor before it", "write it out")
        self._size += anchored.size
        self._room -= anchored.size
        if self._room < 0:
            problem = f"aliases repeat more than {REPEATED_CHARACTERS_MAX} characters"
            _refuse_at(event, problem, "write it with fewer aliases")
        return anchored.value

    def _node(self, event: Event) -> object:
        if isinstance(event, ScalarEvent):
            self._size += len(event.value) + 1
            return _scalar(event)
        self._size += 1
        self._depth += 1
        if self._depth > DEPTH_MAX:
            _refuse_depth()
        content = self._sequence() if isinstance(event, SequenceStartEvent) else self._mapping()
        self._depth -= 1
        return content

    def _sequence(self) -> list[object]:
        content = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            content.append(self._value(event))
        return content

    def _mapping(self) -> dict[str, object]:
        content: dict[str, object] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                _refuse_at(event, "a key is no text", "write a text for a key")
            # A key is what is written, be it a number or the `no` of Norwegian.
            key = event.value
            self._size += len(key) + 1
            problem = problem_of_characters(key)
            if problem:
                _refuse_at(event, f"the key {problem}", "write a key that can be printed")
            if key in content:
                _refuse_at(event, f"the key {key!r} stands twice", "give every key once")
            content[key] = self._value(next(self._events))
        return content


def _scalar(event: ScalarEvent) -> object:
    text = event.value
    if not event.implicit[0]:
        return text
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return text.lower() == "true"
    return int(text) if _INTEGER.fullmatch(text) else text


def _refuse_at(event: Event, problem: str, remedy: str) -> NoReturn:
    mark = event.start_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    _refuse(f"{place}{problem}", remedy)
