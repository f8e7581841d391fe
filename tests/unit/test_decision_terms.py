"""Terms and the calendar arithmetic that ends them (`semantics.md`, Time)."""

from zoneinfo import ZoneInfo

import pytest

from decision.instants import EARLIEST, FOREVER, LATEST, format_instant, parse_instant
from decision.terms import (
    INDEFINITE,
    UNTIL_PRODUCT_CLOSED,
    Duration,
    end_of_term,
    parse_term,
)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("P5Y", Duration(60, 0)),
        ("P1M", Duration(1, 0)),
        ("P2W", Duration(0, 14)),
        ("P20D", Duration(0, 20)),
        ("P1Y2M1W3D", Duration(14, 10)),
        ("P0Y1D", Duration(0, 1)),
    ],
)
def test_durations(text: str, duration: Duration) -> None:
    """Years count as months and weeks as days."""
    assert parse_term(text) == duration


def test_terms_in_words() -> None:
    """The two terms that are no duration are named."""
    assert parse_term("indefinite") is INDEFINITE
    assert parse_term("until_product_closed") is UNTIL_PRODUCT_CLOSED


@pytest.mark.parametrize(
    "text",
    [
        *("", "P", "5Y", "P0D", "P0Y0M", "PT1H", "P1DT1H", "P1D1M", "-P1Y", "P-1Y", "P1.5Y"),
        *("p1y", "P1Y ", "P１Y", "forever", "Indefinite", "P9999999Y"),
    ],
)
def test_what_is_no_term(text: str) -> None:
    """Anything else is refused, and so is a duration of nothing."""
    with pytest.raises(ValueError, match="term"):
        parse_term(text)


@pytest.mark.parametrize(
    ("start", "term", "zone", "end"),
    [
        # The day is clamped to the month's end.
        ("2025-01-31T15:00:00Z", "P1M", "UTC", "2025-02-28T15:00:00Z"),
        ("2024-01-31T15:00:00Z", "P1M", "UTC", "2024-02-29T15:00:00Z"),
        ("2024-02-29T12:00:00Z", "P1Y", "UTC", "2025-02-28T12:00:00Z"),
        ("2024-02-29T12:00:00Z", "P4Y", "UTC", "2028-02-29T12:00:00Z"),
        ("2024-12-31T00:00:00Z", "P2M", "UTC", "2025-02-28T00:00:00Z"),
        # Months first, then weeks and days.
        ("2024-01-31T10:00:00Z", "P1M1D", "UTC", "2024-03-01T10:00:00Z"),
        ("2024-01-30T10:00:00Z", "P1M1W", "UTC", "2024-03-07T10:00:00Z"),
        # The company zone decides which day it is.
        ("2025-01-31T21:00:00Z", "P1M", "Europe/Moscow", "2025-02-28T21:00:00Z"),
        ("2025-01-31T20:59:59Z", "P1M", "Europe/Moscow", "2025-02-28T20:59:59Z"),
        ("2025-02-28T21:00:00Z", "P1M", "Europe/Moscow", "2025-03-31T21:00:00Z"),
        # Local time is kept over a change of the offset.
        ("2025-02-15T12:00:00Z", "P1M", "America/New_York", "2025-03-15T11:00:00Z"),
        ("2014-10-20T00:00:00Z", "P1W", "Europe/Moscow", "2014-10-27T01:00:00Z"),
        # A local time in a gap moves forward by the gap.
        ("2025-02-09T07:30:00Z", "P1M", "America/New_York", "2025-03-09T07:30:00Z"),
        ("2023-02-26T01:30:00Z", "P1M", "Europe/Berlin", "2023-03-26T01:30:00Z"),
        ("2024-09-05T15:45:00Z", "P1M", "Australia/Lord_Howe", "2024-10-05T15:45:00Z"),
        ("2011-11-30T22:00:00Z", "P1M", "Pacific/Apia", "2011-12-30T22:00:00Z"),
        # An ambiguous local time is the earlier.
        ("2025-10-02T05:30:00Z", "P1M", "America/New_York", "2025-11-02T05:30:00Z"),
        ("2024-09-27T00:30:00Z", "P1M", "Europe/Berlin", "2024-10-27T00:30:00Z"),
        # To the microsecond.
        ("2024-02-29T12:00:00.000001Z", "P1Y1W", "UTC", "2025-03-07T12:00:00.000001Z"),
        # Before the epoch.
        ("1900-01-01T00:00:00Z", "P1D", "UTC", "1900-01-02T00:00:00Z"),
    ],
)
def test_end_of_a_duration(start: str, term: str, zone: str, end: str) -> None:
    """A duration is added in the company zone, months first, the day clamped to the month's end."""
    ended = end_of_term(parse_instant(start), parse_term(term), ZoneInfo(zone))
    assert format_instant(ended) == end


@pytest.mark.parametrize("term", ["indefinite", "until_product_closed"])
def test_terms_without_an_end(term: str) -> None:
    """What is no duration has no end of its own."""
    assert (
        end_of_term(parse_instant("2024-01-01T00:00:00Z"), parse_term(term), ZoneInfo("UTC"))
        == FOREVER
    )


@pytest.mark.parametrize(
    ("start", "term", "zone"),
    [
        ("2024-01-01T00:00:00Z", "P9999Y", "UTC"),
        ("2024-01-01T00:00:00Z", "P99999Y", "UTC"),
        ("2024-01-01T00:00:00Z", "P9999999D", "UTC"),
        ("9999-12-31T00:00:00Z", "P1D", "UTC"),
        ("9999-12-31T04:30:00Z", "P1D", "America/New_York"),
        ("9999-12-31T23:00:00Z", "P1D", "Europe/Moscow"),
    ],
)
def test_end_past_the_calendar_is_no_end(start: str, term: str, zone: str) -> None:
    """A term that leads past the year 9999, in the zone or in UTC, never ends."""
    assert end_of_term(parse_instant(start), parse_term(term), ZoneInfo(zone)) == FOREVER


def test_bounds_of_the_calendar_are_no_error() -> None:
    """The first and the last instant that facts may name can begin a term in any zone."""
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        for at in (EARLIEST, LATEST):
            assert end_of_term(at, Duration(1, 1), ZoneInfo(zone)) > at


def test_zone_that_turns_back_does_not_turn_a_term_around() -> None:
    """Kwajalein went a day back in 1969: a day later by the calendar may be no later at all."""
    start = parse_instant("1969-10-01T10:00:00Z")
    for zone in ("Pacific/Kwajalein", "Asia/Manila", "America/Juneau"):
        assert end_of_term(start, parse_term("P1D"), ZoneInfo(zone)) >= start
