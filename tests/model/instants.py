"""Instants, terms and the company zone, for the naive model.

What lives here: reading and writing instants, and adding a term in a zone
(semantics.md, Time). What must not: anything about consents.
An instant is an int, microseconds since 1970-01-01T00:00:00Z.
"""

import calendar
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

MICROSECOND: Final = timedelta(microseconds=1)
SECOND_MICROSECONDS: Final = 1_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

NEVER: Final = 10**30
"""Later than every instant: the end of what does not end."""

INDEFINITE: Final = "indefinite"
UNTIL_PRODUCT_CLOSED: Final = "until_product_closed"

_INSTANT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_DURATION: Final = re.compile(r"P(?=\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?", re.ASCII)


def to_instant(moment: datetime) -> int:
    """The instant of a datetime that knows its zone."""
    return (moment - EPOCH) // MICROSECOND


def to_datetime(instant: int) -> datetime:
    """The UTC datetime of an instant."""
    return EPOCH + timedelta(microseconds=instant)


_FIRST: Final = to_instant(datetime(1900, 1, 1, tzinfo=UTC))
_LAST: Final = to_instant(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))


@lru_cache(maxsize=100_000)
def parse_instant(text: str) -> int:
    """The instant of an RFC 3339 text; ValueError where it is none, or out of 1900 to 9999."""
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"not an instant: {text!r}")
    instant = to_instant(datetime.fromisoformat(text))
    if not _FIRST <= instant <= _LAST:
        raise ValueError(f"outside the years 1900 to 9999: {text!r}")
    return instant


def format_instant(instant: int) -> str:
    """RFC 3339 in UTC: seconds, with six digits of fraction only where there is one."""
    moment = to_datetime(instant)
    timespec = "microseconds" if moment.microsecond else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def is_zone(name: object) -> bool:
    """Whether this is the IANA name of a time zone."""
    return isinstance(name, str) and name in _zone_names()


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def is_duration(term: object) -> bool:
    """Whether this is an ISO 8601 duration of years, months, weeks and days, longer than zero."""
    if not isinstance(term, str):
        return False
    match = _DURATION.fullmatch(term)
    return match is not None and any(int(part) for part in match.groups() if part)


def add_duration(instant: int, term: str, zone: str) -> int:
    """The end of a term that begins at this instant, in the company zone; NEVER past year 9999.

    semantics.md, Time: months first, the day clamped to the month's end, then weeks and
    days; a local time in a gap moves forward by the gap, an ambiguous one is the earlier.
    """
    match = _DURATION.fullmatch(term)
    if match is None:
        raise ValueError(f"not a duration: {term!r}")
    years, months, weeks, days = (int(part or 0) for part in match.groups())
    try:
        local = to_datetime(instant).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        month_number = local.year * 12 + (local.month - 1) + years * 12 + months
        year, month = month_number // 12, month_number % 12 + 1
        day = min(local.day, calendar.monthrange(year, month)[1])
        local = local.replace(year=year, month=month, day=day) + timedelta(weeks=weeks, days=days)
    except (OverflowError, ValueError):
        return NEVER
    # With fold 0 the zone takes the offset before a transition: in a gap that moves the
    # local time forward by the gap, and of an ambiguous one it takes the earlier.
    end = to_instant(local.replace(tzinfo=ZoneInfo(zone), fold=0))
    return max(end, instant) if end <= _LAST else NEVER
