"""Instants and their text (`semantics.md`, Time)."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.instants import (
    EARLIEST,
    LATEST,
    format_instant,
    from_datetime,
    is_in_range,
    parse_instant,
    parse_instant_or_date,
    to_datetime,
)

MOSCOW = ZoneInfo("Europe/Moscow")


@given(st.integers(EARLIEST, LATEST))
def test_text_is_read_as_it_was_written(instant: int) -> None:
    """Writing and reading an instant gives it again, and so does a datetime."""
    assert parse_instant(format_instant(instant)) == instant
    assert from_datetime(to_datetime(instant)) == instant


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2024-02-29T12:00:00+03:00", "2024-02-29T09:00:00Z"),
        ("2024-02-29T12:00:00-00:30", "2024-02-29T12:30:00Z"),
        ("2024-02-29t12:00:00z", "2024-02-29T12:00:00Z"),
        ("2024-02-29 12:00:00Z", "2024-02-29T12:00:00Z"),
        ("2024-02-29T12:00Z", "2024-02-29T12:00:00Z"),
        ("2024-02-29T12:00:00.5Z", "2024-02-29T12:00:00.500000Z"),
        ("2024-02-29T12:00:00.1234567Z", "2024-02-29T12:00:00.123456Z"),
        ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_spellings_of_an_instant(text: str, same: str) -> None:
    """Offsets, fractions and the letters in either case are read; nanoseconds are dropped."""
    assert parse_instant(text) == parse_instant(same)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-02-29",
        "2024-02-29T12:00:00",
        "2023-02-29T12:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01T25:00:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00+24:00",
        "1899-12-31T23:59:59.999999Z",
        "1900-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
        "２０２４-01-01T00:00:00Z",
        " 2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z\n",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    """What is malformed, not of the calendar or outside 1900 to 9999 is refused, and quoted."""
    with pytest.raises(ValueError, match=r"instant|outside") as refusal:
        parse_instant(text)
    assert repr(text) in str(refusal.value)


def test_date_is_the_start_of_the_day_in_the_company_zone() -> None:
    """A date without a time begins at local midnight."""
    assert parse_instant_or_date("2024-02-29", MOSCOW) == parse_instant("2024-02-28T21:00:00Z")
    assert parse_instant_or_date("2024-02-29T00:00:00Z", MOSCOW) == parse_instant(
        "2024-02-29T00:00:00Z"
    )


def test_day_that_begins_in_a_gap_begins_after_it() -> None:
    """Where midnight was skipped, the day begins when the clock goes on."""
    sao_paulo = ZoneInfo("America/Sao_Paulo")
    assert parse_instant_or_date("2018-11-04", sao_paulo) == parse_instant("2018-11-04T03:00:00Z")


@pytest.mark.parametrize("text", ["2023-02-29", "1900-01-01", "1899-12-31", "2024-1-1"])
def test_what_is_no_date(text: str) -> None:
    """A day that is not of the calendar, or begins before 1900 in UTC, is refused."""
    with pytest.raises(ValueError, match=r"day|outside|instant"):
        parse_instant_or_date(text, MOSCOW)


def test_fraction_is_shown_only_where_there_is_one() -> None:
    """Whole seconds have no fraction, and a fraction no zeros at its end."""
    whole = from_datetime(datetime(2024, 2, 29, 12, tzinfo=UTC))
    assert format_instant(whole) == "2024-02-29T12:00:00Z"
    assert format_instant(whole + 500_000) == "2024-02-29T12:00:00.5Z"
    assert format_instant(whole + 1) == "2024-02-29T12:00:00.000001Z"


def test_datetime_without_a_zone_is_refused() -> None:
    """A wall-clock time says nothing about an instant."""
    with pytest.raises(ValueError, match="zone"):
        from_datetime(datetime(2024, 2, 29))  # noqa: DTZ001 - the missing zone is the point


def test_range_of_facts() -> None:
    """The years 1900 to 9999 in UTC are in range, a microsecond more is not."""
    assert is_in_range(EARLIEST)
    assert is_in_range(LATEST)
    assert not is_in_range(EARLIEST - 1)
    assert not is_in_range(LATEST + 1)
