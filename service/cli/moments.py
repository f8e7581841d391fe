"""Instants on the command line: read from arguments, shown in tables.

What lives here: the argument type and the two directions. A date, or a time without an offset, is
of the company zone (`semantics.md`, Time), which is asked for only when it is needed.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import click
from google.protobuf.timestamp_pb2 import Timestamp

from decision.instants import (
    Instant,
    from_datetime,
    is_in_range,
    local_to_instant,
    parse_instant,
    parse_instant_or_date,
)
from service.client import Client, answers_from, company_zone
from service.conversion.timestamps import timestamp

MOMENT_METAVAR: Final = "INSTANT"
NO_END: Final = "no end"

_LOCAL: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as it was typed; `instant` is None when it needs the company zone."""

    text: str
    instant: Instant | None


class MomentType(click.ParamType[Moment]):
    """Reads `2026-03-01`, `2026-03-01T10:30`, or RFC 3339 with an offset."""

    name = "instant"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Moment:
        """Read the text of an argument."""
        if isinstance(value, Moment):
            return value
        text = str(value).strip()
        try:
            if _LOCAL.fullmatch(text):
                # Refuses impossible days and hours now, before anything is asked of a server.
                datetime.fromisoformat(text)
                return Moment(text, None)
            return Moment(text, parse_instant(text))
        except ValueError:
            self.fail(
                f"{text!r} is neither a date such as 2026-03-01 nor an instant such as "
                "2026-03-01T10:30:00+03:00 between the years 1900 and 9999",
                param,
                ctx,
            )


MOMENT: Final = MomentType()


def timestamp_at(moment: Moment | None, client: Client) -> Timestamp | None:
    """Give a typed moment for a request; None stays None.

    Raises ClientProblemError when the company zone cannot be asked for, click.UsageError when
    there is none.
    """
    if moment is None:
        return None
    if moment.instant is not None:
        return timestamp(moment.instant)
    with answers_from(client.writer_address):
        zone = company_zone(client.catalog)
    if zone is None:
        raise click.UsageError(
            f"no catalog is published, so {moment.text!r} has no zone: "
            f"write it with an offset, such as {moment.text[:10]}T00:00:00+03:00"
        )
    instant = _instant_in(moment.text, zone)
    if not is_in_range(instant):
        raise click.UsageError(f"{moment.text!r} lies outside the years 1900 to 9999")
    return timestamp(instant)


def _instant_in(text: str, zone: ZoneInfo) -> Instant:
    try:
        return parse_instant_or_date(text, zone)
    except ValueError:
        return local_to_instant(datetime.fromisoformat(text), zone)


def now() -> Timestamp:
    """Give the present instant, to the microsecond."""
    return timestamp(from_datetime(datetime.now(UTC)))


def shown_moment(shown: Timestamp, zone_name: str = "") -> str:
    """Write an instant for people: in the zone with its offset, else in UTC with a Z."""
    if not zone_name:
        return _without_needless(shown.ToDatetime(tzinfo=UTC)).replace("+00:00", "Z")
    return _without_needless(shown.ToDatetime(tzinfo=UTC).astimezone(ZoneInfo(zone_name)))


def shown_end(shown: Timestamp, *, is_given: bool, zone_name: str = "") -> str:
    """Write the end of an interval; an open one is said in words."""
    return shown_moment(shown, zone_name) if is_given else NO_END


def _without_needless(moment: datetime) -> str:
    precision = "microseconds" if moment.microsecond else "seconds"
    return moment.isoformat(sep=" ", timespec=precision)
