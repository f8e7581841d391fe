"""Terms of consents and acquisition rules, and the calendar arithmetic that ends them.

What lives here: reading a term and adding it to an instant (`semantics.md`, Time). Which grant has
which term is decided in `fold`.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from decision.instants import FOREVER, LATEST, Instant, local_to_instant, to_datetime

MONTHS_PER_YEAR: Final = 12
DAYS_PER_WEEK: Final = 7

DAYS_KEPT_MAX: Final = 2**15
"""Days about which something is kept: consents of many people begin and end on the same ones."""

DAYS_PER_BLOCK: Final = 32
"""Days that are looked at together: clocks are shifted twice a year at most, nearly everywhere."""

BLOCKS_KEPT_MAX: Final = 2**12
"""Blocks of days whose offset is kept: those of three centuries and a half."""

_DAY: Final = 24 * 3600 * 1_000_000
_PARTS_OF_DAY: Final = [timedelta(hours=hours) for hours in (0, 6, 12, 18, 24)]
_FIRST_DAY: Final = date(1970, 1, 1)
_FIRST_ORDINAL: Final = _FIRST_DAY.toordinal()

_DURATION: Final = re.compile(
    r"P(?=\d)(?:(\d{1,5})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})W)?(?:(\d{1,7})D)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Duration:
    """A calendar duration: whole months, then whole days."""

    months: int
    days: int


class Indefinite:
    """The term that never ends."""

    __slots__ = ()


class UntilProductClosed:
    """The term that ends when the grant's product is closed; without a product it never ends."""

    __slots__ = ()


INDEFINITE: Final = Indefinite()
UNTIL_PRODUCT_CLOSED: Final = UntilProductClosed()

Term: TypeAlias = Duration | Indefinite | UntilProductClosed


def parse_term(text: str) -> Term:
    """Read `indefinite`, `until_product_closed` or an ISO 8601 duration of Y, M, W and D.

    Raises ValueError, with a message fit for a user, for anything else and for a duration of
    nothing, which would end a consent at the instant it begins.
    """
    if text == "indefinite":
        return INDEFINITE
    if text == "until_product_closed":
        return UNTIL_PRODUCT_CLOSED
    match = _DURATION.fullmatch(text)
    if match is None:
        message = (
            f"{text!r} is not a term: write an ISO 8601 duration of years, months, weeks and days "
            "such as P5Y or P1Y6M, or indefinite, or until_product_closed"
        )
        raise ValueError(message)
    years, months, weeks, days = (int(group or 0) for group in match.groups())
    duration = Duration(years * MONTHS_PER_YEAR + months, weeks * DAYS_PER_WEEK + days)
    if duration == Duration(0, 0):
        message = f"{text!r} is a term of nothing: it has to be longer than zero"
        raise ValueError(message)
    return duration


def end_of_term(start: Instant, term: Term, zone: ZoneInfo) -> Instant:
    """Tell when a term that begins at `start` ends, or FOREVER.

    A duration is added to the local time in the company zone: months first, the day clamped to the
    month's end, then weeks and days (`semantics.md`, Time). An end past the year 9999 is FOREVER.
    """
    if not isinstance(term, Duration):
        return FOREVER
    # The same by days, each looked up once: where no clock is shifted, only the date matters.
    offset = steady_offset(start // _DAY, zone)
    if offset is not None:
        length = _steady_length((start + offset) // _DAY, offset, term.months, term.days, zone)
        if length is not None:
            return start + length
    return end_by_calendar(start, term, zone)


def end_by_calendar(start: Instant, term: Duration, zone: ZoneInfo) -> Instant:
    """Tell the same of a duration, whatever the clocks of the zone do."""
    try:
        local = to_datetime(start).astimezone(zone).replace(tzinfo=None)
        moved = datetime.combine(_moved_date(local.date(), term.months, term.days), local.time())
        end = local_to_instant(moved, zone)
    except (OverflowError, ValueError):
        return FOREVER
    # A shift of the zone itself may never turn a term around.
    return max(start, end) if end <= LATEST else FOREVER


@lru_cache(maxsize=DAYS_KEPT_MAX)
def _steady_length(day: int, offset: int, months: int, days: int, zone: ZoneInfo) -> Instant | None:
    """Tell how long a term is that begins on a local day, under an offset; None if times differ.

    They do where a clock is shifted near the end. Where the offset is the same for a day before and
    after, no local time is left out or comes twice: clocks are not shifted by more than a day.
    """
    try:
        end_day = _moved_date(_FIRST_DAY + timedelta(days=day), months, days).toordinal()
        end_day -= _FIRST_ORDINAL
        end_offset = steady_offset(end_day, zone)
        if end_offset is None:
            return None
        begins = end_day * _DAY - end_offset
        for instant in (begins, begins + _DAY - 1):
            if steady_offset(instant // _DAY, zone) != end_offset or instant > LATEST:
                return None
    except (OverflowError, ValueError):
        return None
    length = begins - (day * _DAY - offset)
    # A shift of the zone itself may never turn a term around: let the calendar see to it.
    return length if length >= 0 else None


def steady_offset(day: int, zone: ZoneInfo) -> int | None:
    """Give the offset that a zone has throughout a day of UTC, the one before and the one after.

    It is in microseconds, and None where it is not the same.
    """
    offset = _offset_of_block(day // DAYS_PER_BLOCK, zone)
    return _steady_offset_of_day(day, zone) if offset is None else offset


@lru_cache(maxsize=BLOCKS_KEPT_MAX)
def _offset_of_block(block: int, zone: ZoneInfo) -> int | None:
    """Give the offset that is steady on every day of a block; most blocks have one."""
    first_day = block * DAYS_PER_BLOCK
    days = range(first_day - 1, first_day + DAYS_PER_BLOCK + 1)
    offsets = {_offset_of_day(day, zone) for day in days}
    (offset, *others) = offsets
    return None if others else offset


@lru_cache(maxsize=DAYS_KEPT_MAX)
def _steady_offset_of_day(day: int, zone: ZoneInfo) -> int | None:
    offset = _offset_of_day(day, zone)
    return (
        offset if offset == _offset_of_day(day - 1, zone) == _offset_of_day(day + 1, zone) else None
    )


def _offset_of_day(day: int, zone: ZoneInfo) -> int | None:
    """Give the offset that a zone has throughout a day of UTC, in microseconds.

    It is looked up for every six hours: no zone shifts its clocks and shifts them back within them.
    None where it does, and at the calendar's ends.
    """
    try:
        midnight = to_datetime(day * _DAY)
        offsets = {(midnight + part).astimezone(zone).utcoffset() for part in _PARTS_OF_DAY}
    except (OverflowError, ValueError):
        return None
    (offset, *others) = offsets
    return None if others or offset is None else offset // timedelta(microseconds=1)


def _moved_date(day: date, months: int, days: int) -> date:
    month_index = day.year * MONTHS_PER_YEAR + day.month - 1 + months
    year, month = divmod(month_index, MONTHS_PER_YEAR)
    day_of_month = min(day.day, calendar.monthrange(year, month + 1)[1])
    return date(year, month + 1, day_of_month) + timedelta(days=days)
