"""How lines of the log look on a terminal, and what a trace tells."""

import logging

import psycopg
import pytest

from decision.errors import ErrorCode, MayweError, NotFoundError, UnavailableError
from service.logs.formats import TextFormatter, trace_of

CUSTOMER_ID = "+7 916 000-00-00"


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """An exception that was raised, with its trace."""
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def test_a_line_for_people_names_process_and_level_and_has_its_trace_below() -> None:
    """As it is written on a terminal."""
    error = raised(KeyError(CUSTOMER_ID))
    failed = (type(error), error, error.__traceback__)
    record = logging.LogRecord("maywe.x", logging.ERROR, "", 1, "said %s", ("so",), failed)
    first, second, third = TextFormatter("2").format(record).splitlines()
    assert first.endswith(" ERROR process 2: maywe.x: said so")
    assert second == "builtins.KeyError"
    assert third.endswith("in raised")


@pytest.mark.parametrize(
    "error",
    [
        KeyError(CUSTOMER_ID),
        ValueError(CUSTOMER_ID),
        psycopg.errors.UniqueViolation(CUSTOMER_ID),
        NotFoundError(CUSTOMER_ID, ErrorCode.EVENT_NOT_FOUND),
        FileNotFoundError(2, "No such file or directory", CUSTOMER_ID),
    ],
)
def test_a_trace_quotes_nothing_that_may_be_somebodys(error: Exception) -> None:
    """Neither of the exception nor of what it came from."""
    lines = list(trace_of(raised(RuntimeError(CUSTOMER_ID), raised(error))))
    assert CUSTOMER_ID not in "\n".join(lines)
    assert f"{type(error).__module__}.{type(error).__qualname__}" in "\n".join(lines)


def test_a_trace_says_what_a_store_said_in_our_words() -> None:
    """Texts of ours that never quote anything are told."""
    error: MayweError = UnavailableError("PostgreSQL does not answer")
    assert next(iter(trace_of(raised(error)))).endswith(
        "UnavailableError: PostgreSQL does not answer"
    )
