"""The days of the journal: its partitions, made ahead of time and dropped when they are over.

What lives here: one partition for each day by UTC, and the dropping of those that are older than
they are kept. What was written before there was a partition for its day stands in the one for
everything else, and is removed from it row by row. The journal's rows themselves are `journal`'s.
"""

import logging
import re
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from decision.errors import UnavailableError
from decision.instants import from_datetime
from store.database import run_transaction

DAYS_AHEAD: Final = 7
"""How many days have a partition before they begin, and so for how long no worker need run."""

ROWS_PER_STEP: Final = 1000
PAUSE_SECONDS: Final = 0.05

_DAYS_LOCK: Final = 5_164_010
"""Advisory lock of whoever makes and drops partitions: one is enough."""

_NAME: Final = re.compile(r"decision_journal_(\d{4})_(\d{2})_(\d{2})", re.ASCII)

# Making and dropping want the journal for themselves for a moment. Who writes to it must not wait
# behind us while we wait for somebody who reads it for long, or look through what has no day yet.
_PATIENCE: Final = (
    text("SET LOCAL lock_timeout = '200ms'"),
    text("SET LOCAL statement_timeout = '2s'"),
)
_LATER: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)

_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(:lock)")

_PARTITIONS: Final = text(
    "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
    "WHERE inhparent = to_regclass('decision_journal')"
)

_TODAY: Final = text("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")

_OTHERS_OLD: Final = text(
    "DELETE FROM decision_journal_default WHERE ctid = ANY (ARRAY("
    "SELECT ctid FROM decision_journal_default WHERE answered_at < :until LIMIT :rows))"
)

_logger = logging.getLogger(__name__)


class _InUseError(Exception):
    """Somebody uses the journal for so long that its days are better seen to later."""


class Kept(NamedTuple):
    """What was done: days that were made ready and dropped, and rows that were removed."""

    made: int
    dropped: int
    rows_removed: int


NOTHING_DONE: Final = Kept(0, 0, 0)


class JournalDays:
    """Keeps the days of the journal. Any number may work side by side."""

    def __init__(
        self,
        engine: Engine,
        kept_days: int,
        *,
        rows_per_step: int = ROWS_PER_STEP,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Keep what was answered on the last `kept_days` days; 0 drops nothing."""
        self._engine = engine
        self._kept_days = kept_days
        self._rows_per_step = rows_per_step
        self._pause_seconds = pause_seconds
        self._begun: set[date] = set()

    def run_pending(self, stop: threading.Event) -> Kept:
        """Do all that is due, or as much until `stop` is set.

        What somebody who reads the journal for long stands in the way of is left for later. Raises
        UnavailableError when PostgreSQL does not answer.
        """
        today, days = run_transaction(self._engine, _days)
        ahead = (today + timedelta(days=number) for number in range(DAYS_AHEAD + 1))
        missing = [day for day in ahead if day not in days | self._begun]
        oldest = today - timedelta(days=self._kept_days)
        over = sorted(day for day in days if self._kept_days and day < oldest)
        made = dropped = removed = 0
        try:
            for day in missing:
                made += not stop.is_set() and self._make(day)
            for day in over:
                dropped += not stop.is_set() and self._change(f"DROP TABLE IF EXISTS {_name(day)}")
        except _InUseError:
            _logger.info("the journal is in use for long: its days are seen to later")
        if self._kept_days:
            removed = self._remove_others(oldest, stop)
        if dropped or removed:
            _logger.info(
                "of the journal %d days and %d rows of earlier are removed", dropped, removed
            )
        return Kept(made, dropped, removed)

    def _make(self, day: date) -> bool:
        try:
            return self._change(
                f"CREATE TABLE IF NOT EXISTS {_name(day)} PARTITION OF decision_journal "
                f"FOR VALUES FROM ({_begin(day)}) TO ({_begin(day + timedelta(days=1))})"
            )
        except IntegrityError:
            # As today's, where somebody answered before the first worker came. Not tried again, as
            # all of that partition is read to find it out.
            self._begun.add(day)
            return False

    def _change(self, statement: str) -> bool:
        """Make or drop a partition, unless another worker is at it. Raises _InUseError."""
        try:
            # Once: whoever waits behind us is let by before anything is tried again.
            with self._engine.begin() as connection:
                if not connection.scalar(_ALONE, {"lock": _DAYS_LOCK}):
                    return False
                for limit in _PATIENCE:
                    connection.execute(limit)
                connection.execute(text(statement))
        except OperationalError as error:
            if isinstance(error.orig, _LATER):
                raise _InUseError from error
            message = "PostgreSQL does not answer: try again later"
            raise UnavailableError(message) from error
        return True

    def _remove_others(self, oldest: date, stop: threading.Event) -> int:
        removed = 0
        values = {"until": _begin(oldest), "rows": self._rows_per_step}
        while not stop.is_set():
            count = run_transaction(
                self._engine, lambda found: found.execute(_OTHERS_OLD, values).rowcount
            )
            removed += count
            if count < self._rows_per_step:
                break
            stop.wait(self._pause_seconds)
        return removed


def _days(connection: Connection) -> tuple[date, set[date]]:
    """Give today, and the days that have a partition."""
    names = connection.scalars(_PARTITIONS).all()
    found = (_NAME.fullmatch(name) for name in names)
    days = {date(*map(int, match.groups())) for match in found if match is not None}
    today: date = connection.execute(_TODAY).scalar_one()
    return today, days


def _name(day: date) -> str:
    return f"decision_journal_{day:%Y_%m_%d}"


def _begin(day: date) -> int:
    """Give the instant at which a day begins."""
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC))
