"""Instants: integer microseconds since 1970-01-01T00:00:00Z, and their text form.

What lives here: the `Instant` type, its bounds and conversions. Calendar arithmetic with terms is
in `terms`; nothing here knows what an instant is used for.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

Instant: TypeAlias = int
"""Microseconds since 1970-01-01T00:00:00Z, UTC (`semantics.md`, Time)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

FOREVER: Final[Instant] = 2**63 - 1
"""The open end of an interval: later than every instant."""

BEGINNING: Final[Instant] = -(2**63)
"""The open beginning of an interval: earlier than every instant."""

_TEXT: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6})\d*)?)?"
    r"([Zz]|[+-]\d{2}:\d{2})",
    re.ASCII,
)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def from_datetime(moment: datetime) -> Instant:
    """Turn an aware datetime into an instant.

    Raises ValueError when the datetime has no zone.
    """
    if moment.tzinfo is None:
        message = "a datetime without a zone is not an instant"
        raise ValueError(message)
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(instant: Instant) -> datetime:
    """Turn an instant into a UTC datetime. Raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=instant)


EARLIEST: Final[Instant] = from_datetime(datetime(1900, 1, 1, tzinfo=UTC))
"""No event and no question may name an earlier instant."""

LATEST: Final[Instant] = from_datetime(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
"""No event and no question may name a later instant."""


def is_in_range(instant: Instant) -> bool:
    """Tell whether an instant lies in the years 1900 to 9999 that facts may name."""
    return EARLIEST <= instant <= LATEST


def parse_instant(text: str) -> Instant:
    """Read an RFC 3339 instant such as `2025-02-28T15:00:00Z`.

    Digits beyond the microsecond are dropped. Raises ValueError, with a message fit for a user,
    when the text is not an instant or lies outside the years 1900 to 9999.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        message = f"{text!r} is not an instant such as 2025-02-28T15:00:00Z"
        raise ValueError(message)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    zone_text = "+00:00" if offset in "Zz" else offset
    try:
        moment = datetime.fromisoformat(
            f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}"
            f".{(fraction or '').ljust(6, '0')}{zone_text}"
        )
        instant = from_datetime(moment)
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is not an instant of the calendar"
        raise ValueError(message) from error
    return _checked(instant, text)


def parse_instant_or_date(text: str, zone: ZoneInfo) -> Instant:
    """Read an RFC 3339 instant, or a date, which is the start of that day in `zone`.

    Raises ValueError as `parse_instant` does.
    """
    if _DATE.fullmatch(text) is None:
        return parse_instant(text)
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is not a day of the calendar"
        raise ValueError(message) from error
    return _checked(local_to_instant(datetime.combine(day, time.min), zone), text)


def local_to_instant(local: datetime, zone: ZoneInfo) -> Instant:
    """Turn a local wall-clock time in `zone` into an instant.

    A time in a daylight-saving gap moves forward by the gap and an ambiguous time is the earlier
    (`semantics.md`, Time). That is what `fold=0` means in PEP 495: in a gap the offset from before
    the transition applies, which lands as far after the gap as the time was inside it.
    """
    return from_datetime(local.replace(tzinfo=zone, fold=0))


def format_instant(instant: Instant) -> str:
    """Write an instant as RFC 3339 in UTC, with a fraction only when there is one."""
    moment = to_datetime(instant)
    seconds = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{seconds}{fraction}Z"


def _checked(instant: Instant, text: str) -> Instant:
    if not is_in_range(instant):
        message = f"{text!r} lies outside the years 1900 to 9999"
        raise ValueError(message)
    return instant
