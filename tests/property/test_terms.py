"""The ends of terms, worked out by days that are looked up once, against the calendar."""

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from decision.instants import EARLIEST, LATEST, from_datetime
from decision.terms import Duration, end_by_calendar, end_of_term

pytestmark = pytest.mark.property

ZONES: Final = (
    "UTC",
    "Europe/Moscow",
    "Europe/Berlin",
    "America/St_Johns",
    "Africa/Casablanca",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
)
"""Zones that shift their clocks by half an hour, by a day, at midnight, often, or not at all."""

HOUR: Final = 3600 * 1_000_000


def instant(text: str) -> int:
    """Read an instant of UTC."""
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))


shifts = st.sampled_from(
    [
        instant(text)
        for text in (
            "2011-12-30T10:00:00",
            "1993-08-21T12:00:00",
            "2011-03-26T23:00:00",
            "2014-10-25T22:00:00",
            "2024-03-31T01:00:00",
            "2024-10-27T01:00:00",
            "2018-11-04T03:00:00",
            "2020-10-03T15:30:00",
            "2025-02-23T02:00:00",
            "2024-02-29T21:00:00",
            "1970-01-01T00:00:00",
        )
    ]
)
near_shifts = st.builds(lambda at, off: at + off, shifts, st.integers(-50 * HOUR, 50 * HOUR))
starts = st.integers(EARLIEST, LATEST) | near_shifts
durations = st.builds(
    Duration,
    st.sampled_from([0, 1, 6, 12, 84, 120]) | st.integers(0, 12 * 9000),
    st.sampled_from([0, 1, 2, 7]) | st.integers(0, 4000),
)


@settings(max_examples=2000, deadline=None)
@given(start=starts, duration=durations, zone=st.sampled_from(ZONES))
@example(start=LATEST, duration=Duration(1, 0), zone="UTC")
@example(start=EARLIEST, duration=Duration(0, 1), zone="Europe/Moscow")
def test_terms_end_when_the_calendar_says(start: int, duration: Duration, zone: str) -> None:
    """Whatever the clocks do nearby, a term ends when adding to the local time says."""
    info = ZoneInfo(zone)
    assert end_of_term(start, duration, info) == end_by_calendar(start, duration, info)


@settings(max_examples=1000, deadline=None)
@given(shift=shifts, off=st.integers(-50 * HOUR, 50 * HOUR), zone=st.sampled_from(ZONES))
def test_terms_that_end_near_a_shift_end_when_the_calendar_says(
    shift: int, off: int, zone: str
) -> None:
    """A year before an instant near a shift of clocks, a term of a year ends as the calendar."""
    info, start = ZoneInfo(zone), shift + off - 365 * 24 * HOUR
    for duration in (Duration(12, 0), Duration(0, 365), Duration(12, 1)):
        assert end_of_term(start, duration, info) == end_by_calendar(start, duration, info)
