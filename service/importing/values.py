"""Reading the texts of a record as the values of an event's fields.

What lives here: numbers, yes-or-no, checks of form, and what is said about a text that is at fault.
Whether codes exist is the writer's to say.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from decision.document_reader import (
    FREE_TEXT_LENGTH_MAX,
    IDENTIFIER_LENGTH_MAX,
    problem_of_characters,
)
from decision.instants import Instant
from service.importing.dates import DateReader
from service.importing.forms import FieldType

SHOWN_CHARACTERS_MAX: Final = 40
"""How much of a faulty value a reason quotes."""

INTEGER_MAX: Final = 2**31 - 1

_INTEGER: Final = re.compile(r"\d{1,10}", re.ASCII)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}

Value: TypeAlias = str | int | bool
"""The value of a field; an instant is a number of microseconds."""

Reader: TypeAlias = Callable[[str, str], Value]
"""Reads a text, given the name of its field. May raise RecordFaultError."""


class RecordFaultError(Exception):
    """The record can not become an event; the message is the reason for its rejection."""


def readers(date_formats: Sequence[str], zone: ZoneInfo) -> Mapping[FieldType, Reader]:
    """Give how texts are read. Dates without an offset are of `zone`."""
    return {
        FieldType.IDENTIFIER: read_identifier,
        FieldType.TEXT: partial(_read_text, FREE_TEXT_LENGTH_MAX),
        FieldType.INSTANT: partial(_read_instant, DateReader(date_formats, zone), date_formats),
        FieldType.INTEGER: _read_integer,
        FieldType.BOOLEAN: _read_boolean,
    }


def shown(text: str) -> str:
    """Quote a text for a reason."""
    if len(text) <= SHOWN_CHARACTERS_MAX:
        return repr(text)
    return repr(text[:SHOWN_CHARACTERS_MAX]) + "…"


def _read_instant(dates: DateReader, formats: Sequence[str], name: str, text: str) -> Instant:
    try:
        return dates.read(text)
    except (ValueError, OverflowError) as error:
        raise RecordFaultError(
            f"{name}: {shown(text)} is not a date in any of the mapping's formats "
            f"({', '.join(formats)}) between the years 1900 and 9999"
        ) from error


def _read_integer(name: str, text: str) -> int:
    if _INTEGER.fullmatch(text) is None or int(text) > INTEGER_MAX:
        raise RecordFaultError(f"{name}: {shown(text)} is not a whole number")
    return int(text)


def _read_boolean(name: str, text: str) -> bool:
    flag = _BOOLEANS.get(text.lower())
    if flag is None:
        raise RecordFaultError(f"{name}: {shown(text)} is neither true nor false")
    return flag


def _read_text(length_max: int, name: str, text: str) -> str:
    if len(text) > length_max:
        raise RecordFaultError(f"{name}: has {len(text)} characters, {length_max} are the most")
    problem = problem_of_characters(text)
    if problem:
        raise RecordFaultError(f"{name}: {problem}")
    return text


read_identifier: Final = partial(_read_text, IDENTIFIER_LENGTH_MAX)
