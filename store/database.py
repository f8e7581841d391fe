"""Connections and transactions: opening them, and repeating them.

What lives here: transactions that are run again, and several statements in one round trip. Of a
single write's time most is not PostgreSQL's work but the asking, so what does not rest on an answer
is not sent after it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import orjson
import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import ClauseElement, Connection, Engine, create_engine, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from decision.errors import DeadlineExceededError, UnavailableError
from decision.instants import Instant
from store.deadlines import seconds_left
from store.postgresql_errors import is_worth_repeating, translated_errors

_Result = TypeVar("_Result")

APPLICATION_NAME: Final = "maywe"
"""By which PostgreSQL knows, and shows, our connections."""

POOL_CONNECTIONS_MAX: Final = 16
POOL_WAIT_SECONDS_MAX: Final = 10
STATEMENT_SECONDS_MAX: Final = 60
LOCK_WAIT_SECONDS_MAX: Final = 20
ATTEMPTS_MAX: Final = 8
RETRY_WAIT_SECONDS: Final = 0.01

IDLE_SECONDS_UNCHECKED: Final = 1.0
"""A connection that was idle for longer is asked whether it lives before it is used."""

_IDLE_SINCE: Final = "idle_since"
_STATEMENT_SECONDS_MAX: Final = "maywe_statement_seconds_max"
MILLISECONDS_PER_SECOND: Final = 1000

CONNECT_SECONDS_MAX: Final = 3
SILENCE_SECONDS_MAX: Final = 5
"""How long a network may lose what we send, or all that is sent to us, before a connection counts
as broken. A server that only takes its time still acknowledges."""

KEEPALIVE_IDLE_SECONDS: Final = 2
KEEPALIVE_INTERVAL_SECONDS: Final = 1
KEEPALIVE_PROBES_MAX: Final = SILENCE_SECONDS_MAX - KEEPALIVE_IDLE_SECONDS

CATALOG_LOCK: Final = 5_164_003
"""Advisory lock held shared by whoever records under a catalog in an epoch, exclusively by who
publishes or begins an epoch."""


class RetryTransactionError(Exception):
    """The transaction met a concurrent one and has to be run again from the start."""


def open_engine(
    url: str,
    connections_max: int = POOL_CONNECTIONS_MAX,
    statement_seconds_max: float = STATEMENT_SECONDS_MAX,
) -> Engine:
    """Open a pool of connections to the PostgreSQL at `url` (`postgresql+psycopg://…`)."""
    engine = create_engine(
        url,
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS_MAX,
        # The one used last knows the statements, and its server has the tables' pages at hand.
        pool_use_lifo=True,
        isolation_level="READ COMMITTED",
        json_deserializer=orjson.loads,
        execution_options={_STATEMENT_SECONDS_MAX: statement_seconds_max},
        connect_args={
            "application_name": APPLICATION_NAME,
            "connect_timeout": CONNECT_SECONDS_MAX,
            # Of several hosts the primary, and no standby under its name: what it has is late.
            "target_session_attrs": "read-write",
            # Without meaning on Unix sockets, where libpq passes over them.
            "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
            "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
            "keepalives_count": KEEPALIVE_PROBES_MAX,
            "tcp_user_timeout": SILENCE_SECONDS_MAX * MILLISECONDS_PER_SECOND,
            "options": "-c statement_timeout="
            f"{round(statement_seconds_max * MILLISECONDS_PER_SECOND)}ms "
            f"-c lock_timeout={LOCK_WAIT_SECONDS_MAX}s -c jit=off",
        },
    )
    event.listen(engine, "checkin", _note_idle)
    event.listen(engine, "checkout", _ping_if_idle)
    return engine


def _note_idle(_: object, record: ConnectionPoolEntry) -> None:
    record.info[_IDLE_SINCE] = time.monotonic()


def _ping_if_idle(connection: Any, record: ConnectionPoolEntry, _: object) -> None:  # noqa: ANN401 - the driver's, untyped there
    """Replace a connection that broke while it was idle; one just used costs no round trip."""
    if time.monotonic() - record.info.get(_IDLE_SINCE, time.monotonic()) < IDLE_SECONDS_UNCHECKED:
        return
    try:
        connection.execute("")
        # At a rollback the driver would forget the statements it has prepared.
        connection.commit()
    except psycopg.Error as error:
        # The pool opens a new one and asks again.
        raise DisconnectionError from error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction for reading, whose statements take no longer than somebody waits.

    Raises UnavailableError, OverloadedError.
    """
    with translated_errors(), engine.connect() as connection:
        if seconds_left() < engine.get_execution_options().get(_STATEMENT_SECONDS_MAX, 0.0):
            # Not at once: whoever reads may still say in which isolation.
            connection.execution_options(**{_HASTE: _Haste()})
            event.listen(connection, "begin", _hasten)
        yield connection
        if not connection.invalidated:
            # Nothing was written; but at a rollback the driver forgets the statements it has
            # prepared. It is asked itself, as SQLAlchemy does not know of all that was sent.
            _driver_of(connection).commit()


class _Haste:
    """Says of a transaction that somebody waits for it, until PostgreSQL has been told so."""

    is_told = False


_HASTE: Final = "maywe_haste"


def _hasten(connection: Connection) -> None:
    """Have the statements of a transaction that begins take no longer than somebody waits."""
    options = connection.get_execution_options()
    haste: _Haste | None = options.get(_HASTE)
    if haste is None or haste.is_told or options.get("isolation_level") == "AUTOCOMMIT":
        return
    haste.is_told = True
    milliseconds = _milliseconds_up_to_the_deadline(seconds_left())
    _driver_of(connection).execute(b"SET LOCAL statement_timeout = %d" % milliseconds)


def _milliseconds_up_to_the_deadline(seconds: float) -> int:
    """Give so many that the deadline is over when they are; with 0 there would be none."""
    return max(1, ceil(seconds * MILLISECONDS_PER_SECOND))


@contextmanager
def reading_once(engine: Engine) -> Iterator[Connection]:
    """Open a connection for one statement that reads, without the round trips of a transaction.

    Raises UnavailableError, OverloadedError.
    """
    with translated_errors(), engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


def run_transaction(engine: Engine, work: Callable[[Connection], _Result]) -> _Result:
    """Run `work` in a transaction and commit, again when a concurrent transaction is in the way.

    None of its statements takes longer than somebody waits: whoever has gone holds up nobody.

    Raises UnavailableError when PostgreSQL does not answer or the attempts are used up,
    DeadlineExceededError when nobody waits any more, and whatever else `work` raises, after a
    rollback.
    """

    def attempt() -> _Result:
        with engine.begin() as connection:
            for question in _hastening():
                send(connection, question)
            return work(connection)

    return _repeated(attempt)


def run_transaction_asking(
    engine: Engine,
    questions: Sequence["Question"],
    work: Callable[[Connection, Sequence["Rows"]], _Result],
) -> _Result:
    """Run `work` as `run_transaction` does, handing it the answers to `questions`.

    They are asked at the very beginning, in one round trip with it. `work` may commit by itself,
    in one with its last statements (`COMMIT`); it MUST NOT send anything after that.
    """

    def attempt() -> _Result:
        with engine.connect() as connection:
            # The driver is not to begin the transaction for us, since it would wait for that.
            connection.execution_options(isolation_level="AUTOCOMMIT")
            with connection.begin():
                asked = ask(connection, [_BEGIN, *_hastening(), *questions])
                return work(connection, asked[len(asked) - len(questions) :])

    return _repeated(attempt)


def _hastening() -> Sequence["Question"]:
    """Give what has the statements of a transaction that writes take no longer than it may."""
    left = seconds_left()
    if left >= STATEMENT_SECONDS_MAX:
        return ()
    return (Question(_HASTEN, {"left": str(_milliseconds_up_to_the_deadline(left))}),)


_HASTEN: Final = b"SELECT set_config('statement_timeout', %(left)s, true)"
"""With the time as a parameter, so that the driver prepares it once and not for every time."""


def _repeated(attempt: Callable[[], _Result]) -> _Result:
    with translated_errors():
        for number in range(1, ATTEMPTS_MAX + 1):
            try:
                return attempt()
            except RetryTransactionError:
                pass
            except (DBAPIError, psycopg.Error) as error:
                if not is_worth_repeating(error):
                    raise
            if not seconds_left():
                raise DeadlineExceededError
            time.sleep(RETRY_WAIT_SECONDS * number)
    message = f"the write met concurrent ones {ATTEMPTS_MAX} times: send it again"
    raise UnavailableError(message)


ROWS_PER_INSERT_MAX: Final = 16
"""Up to so many rows one INSERT is quicker than COPY, which takes three round trips."""


@contextmanager
def unawaited(connection: Connection, rows_max: int = 0) -> Iterator[None]:
    """Send the statements within one after the other, and wait for all of them at the end.

    Nothing may be asked of their results inside, and an error may come at the end only. `rows_max`
    is how many rows one of them inserts at the most: those that are many go by COPY, which can not
    be sent so, and then each is waited for.
    """
    with _driver_of(connection).pipeline() if rows_max <= ROWS_PER_INSERT_MAX else nullcontext():
        yield


Rows: TypeAlias = Sequence[Any]
"""What a statement gave: named tuples, as SQLAlchemy's rows are read."""


class Question(NamedTuple):
    """A statement with its parameters, to be asked in one round trip with others."""

    statement: bytes
    parameters: Mapping[str, object] = {}


class Query:
    """A statement that is put into words once; called with its parameters it is a question.

    Putting it into words takes longer than PostgreSQL takes to answer it.
    """

    def __init__(self, statement: ClauseElement) -> None:
        """Take a statement of which no parameter is a list that is written out."""
        compiled = statement.compile(dialect=_DIALECT)
        self._statement = str(compiled).encode()
        self._constants = {
            name: value for name, value in compiled.params.items() if value is not None
        }

    def __call__(self, **parameters: object) -> Question:
        """Give the question with these parameters."""
        return Question(self._statement, self._constants | parameters)


_DIALECT: Final = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
_BEGIN: Final = Question(b"BEGIN ISOLATION LEVEL READ COMMITTED")
COMMIT: Final = Question(b"COMMIT")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that is on its way. Its rows are there once the pipeline it is in has ended."""

    cursor: psycopg.Cursor[Any]

    def rows(self) -> Rows:
        """Give the rows that answer it."""
        with self.cursor as cursor:
            return cursor.fetchall() if cursor.description else ()


def send(connection: Connection, question: Question) -> Asked:
    """Ask something, within `unawaited` without waiting for it.

    Each statement sees what was committed before it began.
    """
    _hasten(connection)
    cursor = _driver_of(connection).cursor(row_factory=namedtuple_row)
    cursor.execute(question.statement, question.parameters or None)
    return Asked(cursor)


def ask(connection: Connection, questions: Sequence[Question]) -> list[Rows]:
    """Ask several things, one after the other, in one round trip."""
    if len(questions) == 1:
        return [send(connection, questions[0]).rows()]
    with unawaited(connection):
        asked = [send(connection, question) for question in questions]
    return [one.rows() for one in asked]


def _driver_of(connection: Connection) -> psycopg.Connection[Any]:
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]  # SQLAlchemy types the driver's connection loosely
    return driver


def insert_rows(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[object, ...]],
    *,
    are_integers: bool = False,
) -> None:
    """Append rows to a table: with COPY, which costs a fraction of INSERT, unless they are few.

    `are_integers` says that there is nothing but integers in them.
    """
    if not rows:
        return
    cursor: psycopg.Cursor[Any] = connection.connection.cursor()  # type: ignore[assignment]  # SQLAlchemy types the driver's cursor loosely
    names = ", ".join(columns)
    with cursor:
        if len(rows) <= ROWS_PER_INSERT_MAX:
            places = f"({', '.join(['%s'] * len(columns))})"
            statement = f"INSERT INTO {table} ({names}) VALUES {', '.join([places] * len(rows))}"  # noqa: S608 - names of ours
            cursor.execute(statement.encode(), [value for row in rows for value in row])
            return
        with cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy:
            if are_integers:
                # As the driver writes them, which takes twice as long.
                line = "\t".join(["%d"] * len(columns)) + "\n"
                copy.write("".join(map(line.__mod__, rows)))
                return
            for row in rows:
                copy.write_row(row)


def array_text(numbers: Iterable[int]) -> str:
    """Write numbers as the text of an array, for CAST(… AS bigint[]); the driver takes longer."""
    return f"{{{','.join(map(str, numbers))}}}"


def text_array(texts: Iterable[str]) -> str:
    """Write texts as the text of an array, where a text[] is awaited; the driver takes longer."""
    quoted = [
        text if '"' not in text and "\\" not in text else _escaped_for_array(text) for text in texts
    ]
    return f'{{"{_BETWEEN_TEXTS.join(quoted)}"}}' if quoted else "{}"


_BETWEEN_TEXTS: Final = '","'


def _escaped_for_array(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


DRAW_INSTANTS: Final = Query(text("SELECT draw_recorded_instants(:count) AS first"))
"""Draws `count` consecutive recorded instants; see `draw_recorded_instants`."""


def draw_recorded_instants(connection: Connection, count: int) -> Instant:
    """Draw `count` consecutive recorded instants and give the first.

    MUST be called under the locks of the shards concerned, so that a question as known at an
    instant can wait for what may still be recorded before it.
    """
    [[row]] = ask(connection, [DRAW_INSTANTS(count=count)])
    instant: Instant = row.first
    return instant
