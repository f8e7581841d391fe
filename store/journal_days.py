"""The days of the journal: its partitions, made ahead of time and dropped when they are over.

What lives here: one partition for each day by UTC, and the dropping of those that are older than
they are kept. What was written before there was a partition for its day stands in the one for
everything else, and is removed from it row by row. The journal's rows themselves are `journal`'s.

To make a day, PostgreSQL looks through the partition for everything else, and lets nobody write
meanwhile. Where that takes too long, a constraint that keeps rows of the days out of it is added
and looked after first, which hinders nobody; with it a day is made in a moment. Until the day is
made its rows could not be written anywhere, so only days a while ahead are made that way, and the
constraint is gone as soon as they are.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from decision.errors import UnavailableError
from decision.instants import from_datetime
from store.database import run_transaction

DAYS_AHEAD: Final = 7
"""How many days have a partition before they begin, and so for how long no worker need run."""

DAYS_UNHARMED: Final = 2
"""With how many days to come, today among them, nothing is done that a worker who is killed could
leave undone, and keep from being journalled."""

SCAN_SECONDS_MAX: Final = 2.0
"""For how long others may be kept from the journal to look through what has no day."""

ROWS_PER_STEP: Final = 1000
PAUSE_SECONDS: Final = 0.05

_DAYS_LOCK: Final = 5_164_010
"""Advisory lock of whoever makes and drops partitions: one is enough."""

_NAME: Final = re.compile(r"decision_journal_(\d{4})_(\d{2})_(\d{2})", re.ASCII)

# Making and dropping want the journal for themselves for a moment. Who writes to it must not wait
# behind us while we wait for somebody who reads it for long, or look through what has no day yet.
_LOCK_PATIENCE: Final = text("SET LOCAL lock_timeout = '200ms'")
_STATEMENT_PATIENCE: Final = text("SELECT set_config('statement_timeout', :milliseconds, true)")
_CHANGE_SECONDS_MAX: Final = 2.0
_CANCEL_POLL_SECONDS: Final = 0.1

_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(:lock)")

_PARTITIONS: Final = text(
    "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
    "WHERE inhparent = to_regclass('decision_journal')"
)

_EXCLUSION: Final = "decision_journal_default_without_days"
_ALTER: Final = "ALTER TABLE decision_journal_default"
_DROP_EXCLUSION: Final = f"{_ALTER} DROP CONSTRAINT IF EXISTS {_EXCLUSION}"

_IS_EXCLUSION_VALID: Final = text(
    "SELECT convalidated FROM pg_constraint WHERE conname = :name "
    "AND conrelid = to_regclass('decision_journal_default')"
)

_DAYS_OF_OTHERS: Final = text(
    "SELECT DISTINCT answered_at / :day FROM decision_journal_default WHERE answered_at >= :since"
)
_EPOCH: Final = date(1970, 1, 1)
_MICROSECONDS_PER_DAY: Final = timedelta(days=1) // timedelta(microseconds=1)
_MILLISECONDS_PER_SECOND: Final = 1000

_TODAY: Final = text("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date")

_OTHERS_OLD: Final = text(
    "DELETE FROM decision_journal_default WHERE ctid = ANY (ARRAY("
    "SELECT ctid FROM decision_journal_default WHERE answered_at < :until LIMIT :rows))"
)

_logger = logging.getLogger(__name__)


class _InUseError(Exception):
    """Somebody uses the journal for so long that its days are better seen to later."""


class _TooLongError(Exception):
    """A statement took longer than it may, though nobody stood in its way."""


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
        scan_seconds_max: float = SCAN_SECONDS_MAX,
    ) -> None:
        """Keep what was answered on the last `kept_days` days; 0 drops nothing.

        What has no day is looked through for `scan_seconds_max` at the most with nobody let in.
        """
        self._engine = engine
        self._kept_days = kept_days
        self._rows_per_step = rows_per_step
        self._pause_seconds = pause_seconds
        self._scan_seconds_max = scan_seconds_max
        self._is_scan_long = False
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
            made = self._make(missing, today, stop)
            for day in over:
                dropped += not stop.is_set() and self._change(f"DROP TABLE IF EXISTS {_name(day)}")
        except _InUseError:
            _logger.info("the journal is in use for long: its days are seen to later")
        except _TooLongError as error:
            _logger.warning("the days of the journal are seen to later: %s", error)
        if self._kept_days:
            removed = self._remove_others(oldest, stop)
        if dropped or removed:
            _logger.info(
                "of the journal %d days and %d rows of earlier are removed", dropped, removed
            )
        return Kept(made, dropped, removed)

    def _make(self, days: Sequence[date], today: date, stop: threading.Event) -> int:
        """Make days, and give how many. Raises _InUseError, _TooLongError."""
        is_excluded = run_transaction(self._engine, _is_exclusion_valid)
        made = 0
        if not self._is_scan_long and is_excluded is None:
            for number, day in enumerate(days):
                try:
                    made += not stop.is_set() and self._make_at_once(day)
                except _TooLongError:
                    self._is_scan_long = True
                    days = days[number:]
                    break
            else:
                return made
            _logger.warning(
                "the journal holds so much that has no day that days can not be made at once: it "
                "is looked through beside those who write, for days from %s on; until then answers "
                "are journalled without a day",
                today + timedelta(days=DAYS_UNHARMED),
            )
        unharmed = today + timedelta(days=DAYS_UNHARMED)
        return made + self._make_excluded(
            [day for day in days if day >= unharmed and day not in self._begun],
            is_excluded=is_excluded,
            stop=stop,
        )

    def _make_at_once(self, day: date) -> bool:
        try:
            return self._change(_creation(day), seconds_max=self._scan_seconds_max)
        except IntegrityError:
            # As today's, where somebody answered before the first worker came. Not tried again, as
            # all of that partition is read to find it out.
            self._begun.add(day)
            return False

    def _make_excluded(
        self, days: Sequence[date], *, is_excluded: bool | None, stop: threading.Event
    ) -> int:
        """Make days whose rows are kept out of the partition for everything else before."""
        if stop.is_set():
            return 0
        if days and not is_excluded:
            there = run_transaction(self._engine, lambda found: _days_of_others(found, days[0]))
            self._begun |= there
            days = [day for day in days if day not in there]
            if days and not self._exclude(days, stop):
                return 0
        if not days and is_excluded is None:
            return 0
        # Whoever is told to stop meanwhile does this yet, so that nothing is kept out any more.
        try:
            is_made = self._change(*map(_creation, days), _DROP_EXCLUSION)
        except (_TooLongError, IntegrityError):
            # What an earlier worker kept out were other days than these: once more, from the start.
            self._change(_DROP_EXCLUSION)
            _logger.warning(
                "days of the journal could not be made: it is tried anew", exc_info=True
            )
            return 0
        return len(days) if is_made else 0

    def _exclude(self, days: Sequence[date], stop: threading.Event) -> bool:
        """Keep rows of `days` out of the partition for everything else; False when it is not so."""
        kept_out = " AND ".join(
            f"(answered_at < {_begin(day)} OR answered_at >= {_begin(day + timedelta(days=1))})"
            for day in days
        )
        add = f"{_ALTER} ADD CONSTRAINT {_EXCLUSION} CHECK ({kept_out}) NOT VALID"
        if not self._change(_DROP_EXCLUSION, add):
            return False
        is_valid = False
        try:
            is_valid = self._validate(stop)
        finally:
            if not is_valid:
                with suppress(_InUseError, _TooLongError, UnavailableError):
                    self._change(_DROP_EXCLUSION)
        return is_valid

    def _validate(self, stop: threading.Event) -> bool:
        """Look through the partition for everything else while others write; not beyond `stop`."""

        def work(connection: Connection) -> None:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            with _cancelled_at(stop, connection):
                connection.execute(text(f"{_ALTER} VALIDATE CONSTRAINT {_EXCLUSION}"))

        try:
            return self._alone(work)
        except IntegrityError:
            # Somebody whose clock is ahead was quicker: it is seen the next time.
            return False
        except _TooLongError:
            if stop.is_set():
                return False
            raise

    def _change(self, *statements: str, seconds_max: float = _CHANGE_SECONDS_MAX) -> bool:
        """Change partitions as a whole, unless another worker is at it.

        No statement takes longer than `seconds_max`. Raises _InUseError, _TooLongError.
        """

        def work(connection: Connection) -> None:
            milliseconds = max(1, round(seconds_max * _MILLISECONDS_PER_SECOND))
            connection.execute(_LOCK_PATIENCE)
            connection.execute(_STATEMENT_PATIENCE, {"milliseconds": str(milliseconds)})
            for statement in statements:
                connection.execute(text(statement))

        return self._alone(work)

    def _alone(self, work: Callable[[Connection], None]) -> bool:
        """Do something unless another worker is at it, and tell apart why it could not be done."""
        try:
            # Once: whoever waits behind us is let by before anything is tried again.
            with self._engine.begin() as connection:
                if not connection.scalar(_ALONE, {"lock": _DAYS_LOCK}):
                    return False
                work(connection)
        except OperationalError as error:
            if isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise _InUseError from error
            if isinstance(error.orig, psycopg.errors.QueryCanceled):
                message = f"PostgreSQL took too long for: {error.statement}"
                raise _TooLongError(message) from error
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


def _is_exclusion_valid(connection: Connection) -> bool | None:
    """Tell whether rows of some days are surely kept out; None when nobody keeps them out."""
    found: bool | None = connection.scalar(_IS_EXCLUSION_VALID, {"name": _EXCLUSION})
    return found


def _days_of_others(connection: Connection, since: date) -> set[date]:
    """Give the days of which there are rows in the partition for everything else."""
    values = {"since": _begin(since), "day": _MICROSECONDS_PER_DAY}
    numbers = connection.scalars(_DAYS_OF_OTHERS, values)
    return {_EPOCH + timedelta(days=number) for number in numbers}


@contextmanager
def _cancelled_at(stop: threading.Event, connection: Connection) -> Iterator[None]:
    """Cancel what runs on a connection as soon as `stop` is set."""
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]  # SQLAlchemy types the driver's connection loosely
    is_done = threading.Event()

    def watch() -> None:
        while not is_done.wait(_CANCEL_POLL_SECONDS):
            if stop.is_set():
                driver.cancel_safe()
                return

    watcher = threading.Thread(target=watch, name="maywe journal days stop")
    watcher.start()
    try:
        yield
    finally:
        is_done.set()
        watcher.join()


def _creation(day: date) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {_name(day)} PARTITION OF decision_journal "
        f"FOR VALUES FROM ({_begin(day)}) TO ({_begin(day + timedelta(days=1))})"
    )


def _name(day: date) -> str:
    return f"decision_journal_{day:%Y_%m_%d}"


def _begin(day: date) -> int:
    """Give the instant at which a day begins."""
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC))
