"""PostgreSQL's errors: what each means for whoever asked.

What lives here: everything that knows PostgreSQL's error codes and texts. The rest of the store
sees maywe's own exceptions only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from decision.errors import DeadlineExceededError, OverloadedError, UnavailableError
from store.deadlines import seconds_left


def is_worth_repeating(error: DBAPIError | psycopg.Error) -> bool:
    """Tell whether a transaction failed by a concurrent one only, and may do when run again."""
    return isinstance(_cause_of(error), _WORTH_REPEATING)


_WORTH_REPEATING: Final = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.UniqueViolation,
    psycopg.errors.LockNotAvailable,
)
"""A unique violation is a row that a concurrent transaction wrote first: seen by the next try."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Give what PostgreSQL's trouble means in the place of its errors; faulty statements pass.

    Raises UnavailableError, DeadlineExceededError, OverloadedError.
    """
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        cause = _cause_of(error)
        if isinstance(cause, _TROUBLE_OF_THE_SERVER):
            raise _translated(cause) from error
        raise
    except NoConnectionError as error:
        message = "every connection to PostgreSQL is taken: try again later"
        raise OverloadedError(message) from error


def _cause_of(error: DBAPIError | psycopg.Error) -> BaseException | None:
    """Give the driver's error; COPY runs on the driver itself, where SQLAlchemy wraps nothing."""
    return error.orig if isinstance(error, DBAPIError) else error


_TROUBLE_OF_THE_SERVER: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
)
"""Errors that are no fault of a statement; a cancelled statement is among them."""


_CONNECTION_LIMIT_TEXTS: Final = (
    "too many clients already",
    "too many connections for",
    "remaining connection slots are reserved",
)
"""How PostgreSQL words that it takes no more connections. Of a refused connection libpq hands on
the text alone and no code; in another language than English it counts as not answering."""


def _translated(cause: BaseException | None) -> Exception:
    match cause:
        case psycopg.errors.DiskFull():
            return UnavailableError("PostgreSQL's disk is full: free space, then send it again")
        case psycopg.OperationalError() if any(
            limit in str(cause) for limit in _CONNECTION_LIMIT_TEXTS
        ):
            return OverloadedError("PostgreSQL's connection limit is reached: try again later")
        case psycopg.errors.QueryCanceled():
            if not seconds_left():
                # Not PostgreSQL's fault: it was told to stop then.
                return DeadlineExceededError()
            return UnavailableError("PostgreSQL took too long: try again later")
        case psycopg.errors.ReadOnlySqlTransaction():
            return UnavailableError("PostgreSQL is read only: is this the primary?")
        case _:
            return UnavailableError("PostgreSQL does not answer: try again later")
