"""Terms of consents and acquisition rules, and the calendar arithmetic that ends them.

What lives here: reading a term and adding it to an instant (`semantics.md`, Time). Which grant has
which term is decided in `fold`.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from decision.instants import FOREVER, LATEST, Instant, local_to_instant, to_datetime

MONTHS_PER_YEAR: Final = 12
DAYS_PER_WEEK: Final = 7

LOCAL_TIMES_KEPT_MAX: Final = 256
"""Local times that are kept: several consents are mostly obtained by one purchase."""

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
    try:
        local = _local_time(start, zone)
        moved = _add_months(local, term.months) + timedelta(days=term.days)
        end = local_to_instant(moved, zone)
    except (OverflowError, ValueError):
        return FOREVER
    # A shift of the zone itself may never turn a term around.
    return max(start, end) if end <= LATEST else FOREVER


@lru_cache(maxsize=LOCAL_TIMES_KEPT_MAX)
def _local_time(at: Instant, zone: ZoneInfo) -> datetime:
    return to_datetime(at).astimezone(zone).replace(tzinfo=None)


def _add_months(local: datetime, months: int) -> datetime:
    month_index = local.year * MONTHS_PER_YEAR + local.month - 1 + months
    year, month = divmod(month_index, MONTHS_PER_YEAR)
    day = min(local.day, calendar.monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day)
