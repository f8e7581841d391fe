"""Reading the dates and times of a file.

What lives here: the formats of a mapping, and the quick way to read the form that most files have.
What a date means is `semantics.md`, Time.
"""

import re
from collections.abc import Sequence
from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from decision.instants import (
    Instant,
    from_datetime,
    is_in_range,
    local_to_instant,
    parse_instant,
    parse_instant_or_date,
)
from service.conversion.timestamps import MICROSECONDS_PER_SECOND
from service.importing.mapping import ISO_FORMAT

DAYS_KEPT_MAX: Final = 16_384
"""Days whose beginning is kept: more than there are in forty years."""

_LOCAL_TIME: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?", re.ASCII
)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY_CHARACTERS: Final = len("2024-01-31")
_SECOND_CHARACTERS: Final = len("2024-01-31T10:30:00")


def _two_digits(end: int, seconds: int) -> dict[str, int]:
    """Give the microseconds that each number of two digits stands for."""
    return {f"{one:02}": one * seconds * MICROSECONDS_PER_SECOND for one in range(end)}


_HOURS: Final = _two_digits(24, 3_600)
_MINUTES: Final = _two_digits(60, 60)
_SECONDS: Final = _two_digits(60, 1)
_MOMENTS: Final = (time(0), time(6), time(12), time(18), time.max)
"""Where a day is looked at: no clock was ever changed and changed back within six hours."""


class DateReader:
    """Reads instants in the formats of one mapping. Dates without an offset are of `zone`."""

    def __init__(self, formats: Sequence[str], zone: ZoneInfo) -> None:
        self._formats = formats
        self._zone = zone
        self._even_days = _EvenDays(zone)

    def read(self, text: str) -> Instant:
        """Read a date or time. Raises ValueError or OverflowError."""
        for date_format in self._formats:
            try:
                instant = (
                    self._iso_instant(text)
                    if date_format == ISO_FORMAT
                    else _formatted_instant(text, date_format, self._zone)
                )
            except ValueError:
                continue
            if is_in_range(instant):
                return instant
        raise ValueError(text)

    def _iso_instant(self, text: str) -> Instant:
        if len(text) == _SECOND_CHARACTERS and text[10] in "T " and text[13] == text[16] == ":":
            midnight = self._even_days[text[:_DAY_CHARACTERS]]
            if midnight is not None:
                try:
                    hours, minutes = _HOURS[text[11:13]], _MINUTES[text[14:16]]
                    return midnight + hours + minutes + _SECONDS[text[17:]]
                except KeyError:
                    pass
        if _LOCAL_TIME.fullmatch(text) is not None:
            return local_to_instant(datetime.fromisoformat(text), self._zone)
        try:
            return parse_instant_or_date(text, self._zone)
        except ValueError:
            return parse_instant(text)


class _EvenDays(dict[str, Instant | None]):
    """The beginnings of days, by their text; None of a day whose clocks are changed, or of none."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def __missing__(self, text: str) -> Instant | None:
        if len(self) >= DAYS_KEPT_MAX:
            self.clear()
        self[text] = beginning = self._beginning(text)
        return beginning

    def _beginning(self, text: str) -> Instant | None:
        if _DAY.fullmatch(text) is None:
            return None
        try:
            midnight = datetime.fromisoformat(text)
        except ValueError:
            return None
        offsets = {
            datetime.combine(midnight, moment, self._zone).utcoffset() for moment in _MOMENTS
        }
        return local_to_instant(midnight, self._zone) if len(offsets) == 1 else None


def _formatted_instant(text: str, date_format: str, zone: ZoneInfo) -> Instant:
    # A date without a time reads as midnight, the start of that day.
    moment = datetime.strptime(text, date_format)  # noqa: DTZ007 - the zone is applied below
    return local_to_instant(moment, zone) if moment.tzinfo is None else from_datetime(moment)
