"""Reading an untyped document with every fault noted, each with its path.

What lives here: typed access to mappings, lists and texts that notes a fault and goes on instead of
stopping at the first one, within a limit. Nothing here knows what a catalog is.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, TypeVar
from zoneinfo import ZoneInfo

from decision.errors import DocumentFault, FaultKind
from decision.instants import Instant, parse_instant_or_date

_Read = TypeVar("_Read")

IDENTIFIER_LENGTH_MAX: Final = 128
"""Characters that a code, an id of a row, an event or a customer may have at the most."""

FREE_TEXT_LENGTH_MAX: Final = 1000
"""Characters that a cause or a part of a source may have at the most."""

TEXT_LENGTH_MAX: Final = 100_000
"""Characters that a text of a document may have at the most."""


def problem_of_identifier(text: str) -> str:
    """Say what is wrong with an id or a code, or give the empty string when nothing is."""
    if not text:
        return "may not be empty"
    if len(text) > IDENTIFIER_LENGTH_MAX:
        return f"has {len(text)} characters, {IDENTIFIER_LENGTH_MAX} are the most"
    return problem_of_characters(text)


def problem_of_characters(text: str) -> str:
    """Say which character of a text can not be kept, or give the empty string."""
    # What can be printed has none of them; asking that first is much the cheaper.
    found = None if text.isprintable() else _UNKEPT_CHARACTER.search(text)
    if found is None:
        return ""
    letter = found[0]
    is_control = unicodedata.category(letter) == "Cc"
    what = "a control character" if is_control else "half of a surrogate pair"
    return f"has {what} (U+{ord(letter):04X}) at position {found.start() + 1}"


_UNKEPT_CHARACTER: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""The Unicode categories Cc and Cs."""


FAULTS_MAX: Final = 1000
"""Faults of one kind that are listed: more than anybody corrects before checking again."""


class Faults:
    """The faults of one kind found so far: the first FAULTS_MAX of them, and how many there are."""

    def __init__(self, kind: FaultKind) -> None:
        """Begin with none."""
        self._kind = kind
        self._listed: list[DocumentFault] = []
        self.count = 0

    def note(self, path: str, problem: str, remedy: str) -> None:
        """Note a fault; beyond FAULTS_MAX it is only counted."""
        self.count += 1
        if self.count <= FAULTS_MAX:
            self._listed.append(DocumentFault(path, problem, remedy, self._kind))

    @property
    def found(self) -> list[DocumentFault]:
        """The faults as they were noted; a last one tells how many are left out."""
        left_out = self.count - len(self._listed)
        if not left_out:
            return list(self._listed)
        problem = f"{left_out} more faults are left out"
        remedy = "correct those that are listed, then check again"
        return [*self._listed, DocumentFault("", problem, remedy, self._kind)]


CODES_SHOWN_MAX: Final = 20
"""Codes that the remedy of an unknown one names."""


@dataclass(frozen=True)
class KnownCodes(Generic[_Read]):
    """One list of codes of the document, to which other parts of it refer.

    `what` names one of them in faults, such as "data set".
    """

    what: str
    by_code: Mapping[str, _Read]

    def __contains__(self, code: str) -> bool:
        return code in self.by_code

    @cached_property
    def remedy(self) -> str:
        """What to do about an unknown code; worked out once, however many there are."""
        shown = ", ".join(sorted(self.by_code)[:CODES_SHOWN_MAX]) or "none"
        return f"add it to the catalog or use a {self.what} it lists: {shown}"


class Node:
    """A mapping of the document, with its path. Fields that nobody asks for are faults."""

    def __init__(self, content: Mapping[object, object], path: str, faults: Faults) -> None:
        """Wrap the mapping found at `path`."""
        self._content = content
        self._asked: set[str] = set()
        self.path = path
        self.faults = faults

    def path_of(self, field: str) -> str:
        """Give the path of a field of this mapping."""
        return f"{self.path}.{field}" if self.path else field

    def note(self, field: str, problem: str, remedy: str) -> None:
        """Note a fault of one field."""
        self.faults.note(self.path_of(field), problem, remedy)

    def has(self, field: str) -> bool:
        """Tell whether a field is given and not null."""
        self._asked.add(field)
        return self._content.get(field) is not None

    def raw(self, field: str) -> object:
        """Give a field as it stands, None when absent."""
        self._asked.add(field)
        return self._content.get(field)

    def refuse_unknown_fields(self) -> None:
        """Note every field that was never asked for; to be called last."""
        unknown = [field for field in self._content if field not in self._asked]
        if not unknown:
            return
        known = ", ".join(sorted(self._asked))
        for field in unknown:
            self.note(str(field), "is not a field here", f"known fields are: {known}")

    def text(self, field: str) -> str:
        """Give a required text without control characters but line ends; faulty: empty."""
        value = self.raw(field)
        if not isinstance(value, str) or not value:
            self.note(field, _problem_of_type(value), "write a text")
            return ""
        problem = problem_of_characters(value.translate({9: " ", 10: " ", 13: " "}))
        if problem or len(value) > TEXT_LENGTH_MAX:
            self.note(
                field,
                problem or f"has {len(value)} characters",
                f"write at most {TEXT_LENGTH_MAX} characters that can be printed",
            )
        return value

    def identifier(self, field: str) -> str:
        """Give a required code or id; the empty string when it is faulty."""
        value = self.raw(field)
        if not isinstance(value, str):
            self.note(
                field, _problem_of_type(value), "write a text, in quotes if it looks like a number"
            )
            return ""
        problem = problem_of_identifier(value)
        if problem:
            self.note(field, problem, f"write 1 to {IDENTIFIER_LENGTH_MAX} characters")
            return ""
        return value

    def optional_identifier(self, field: str) -> str | None:
        """Give a code or id, None when it is absent or null."""
        return self.identifier(field) if self.has(field) else None

    def flag(self, field: str) -> bool:
        """Give a truth value, false when it is absent."""
        value = self.raw(field)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.note(field, _problem_of_type(value), "write true or false")
        return False

    def localised(self, field: str, *, required: bool) -> tuple[tuple[str, str], ...]:
        """Give a text, or texts by language, as pairs sorted by language."""
        value = self.raw(field)
        if value is None and not required:
            return ()
        if isinstance(value, Mapping) and value:
            texts = Node(value, self.path_of(field), self.faults)
            return tuple(sorted((str(language), texts.text(str(language))) for language in value))
        if isinstance(value, str):
            return (("", self.text(field)),)
        self.note(field, _problem_of_type(value), "write a text, or a mapping of language to text")
        return ()

    def parsed(self, field: str, parse: Callable[[str], _Read], otherwise: _Read) -> _Read:
        """Give a required text as `parse` reads it; its ValueError becomes a fault."""
        value = self.raw(field)
        if not isinstance(value, str):
            self.note(field, _problem_of_type(value), "write a text")
            return otherwise
        try:
            return parse(value)
        except ValueError as error:
            self.note(field, str(error), "correct it")
            return otherwise

    def instant(self, field: str, zone: ZoneInfo) -> Instant:
        """Give a required instant, or date in the company zone; 0 when it is faulty."""
        return self.parsed(field, lambda text: parse_instant_or_date(text, zone), 0)

    def optional_instant(self, field: str, zone: ZoneInfo, otherwise: Instant) -> Instant:
        """Give an instant, or `otherwise` when it is absent or null."""
        return self.instant(field, zone) if self.has(field) else otherwise

    def nodes(self, field: str, *, required: bool = False) -> Iterator["Node"]:
        """Give the mappings of a list, checking each for unknown fields after it was read."""
        value = self.raw(field)
        if value is None and not required:
            return
        if not isinstance(value, list):
            self.note(field, _problem_of_type(value), "write a list")
            return
        for index, content in enumerate(value):
            path = f"{self.path_of(field)}[{index}]"
            if not isinstance(content, Mapping):
                self.faults.note(path, _problem_of_type(content), "write a mapping of fields")
                continue
            node = Node(content, path, self.faults)
            yield node
            node.refuse_unknown_fields()

    def node(self, field: str) -> "Node | None":
        """Give a required mapping, None when it is faulty."""
        value = self.raw(field)
        if not isinstance(value, Mapping):
            self.note(field, _problem_of_type(value), "write a mapping of fields")
            return None
        return Node(value, self.path_of(field), self.faults)

    def codes(self, field: str, known: KnownCodes[_Read]) -> tuple[str, ...]:
        """Give a list of codes, each known and listed once."""
        value = self.raw(field)
        if not isinstance(value, list):
            self.note(field, _problem_of_type(value), "write a list of codes")
            return ()
        codes: dict[str, None] = {}
        for index, code in enumerate(value):
            path = f"{self.path_of(field)}[{index}]"
            if not isinstance(code, str) or code not in known:
                self.faults.note(path, f"{code!r} is not a {known.what}", known.remedy)
            elif code in codes:
                self.faults.note(path, f"{code!r} is listed twice", "list it once")
            else:
                codes[code] = None
        return tuple(codes)

    def code(self, field: str, known: KnownCodes[_Read]) -> str:
        """Give a required code that is known; the empty string when it is faulty."""
        value = self.raw(field)
        if not isinstance(value, str) or value not in known:
            self.note(field, f"{value!r} is not a {known.what}", known.remedy)
            return ""
        return value


def _problem_of_type(value: object) -> str:
    if value is None:
        return "is missing"
    if value in ("", [], {}):
        return "is empty"
    return f"is of the wrong kind ({type(value).__name__})"
