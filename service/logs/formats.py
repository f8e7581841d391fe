"""How lines of the log are written: as JSON, one object to a line, or for whoever reads a terminal.

What lives here: both forms, and what is left out of either. A trace tells where something failed
and as what, but the text of an exception that is not ours may quote what was sent, a customer's id
among it: it is left out.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from decision.errors import MayweError, OverloadedError, UnavailableError
from service.logs.requests import request_id

FORMATS: Final = ("auto", "json", "text")
"""`auto` is text on a terminal and JSON elsewhere."""

CAUSES_MAX: Final = 10
FRAMES_MAX: Final = 50
"""Of the trace of each exception; the innermost ones."""

_MIGRATIONS: Final = "alembic.runtime.migration"

_TEXT: Final = "%(asctime)s %(levelname)s {}%(name)s: %(message)s"

_OURS: Final = (UnavailableError, OverloadedError)
"""Exceptions whose text never quotes anything that was sent."""


def set_up_logs(level: str, chosen: str, process: str = "") -> None:
    """Write logs to standard error; `process` is which of several processes this is, if it is."""
    is_json = chosen == "json" or (chosen == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter(process) if is_json else TextFormatter(process))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger(_MIGRATIONS).addFilter(_is_of_a_step)


def _is_of_a_step(record: logging.LogRecord) -> bool:
    """Tell whether a line of Alembic says more than on what it works, as it does at each look."""
    return record.levelno > logging.INFO or record.msg.startswith("Running")


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON."""

    def __init__(self, process: str = "") -> None:
        """Name the process by its number, where there are several."""
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Write a record: time, level, logger and message, and what else there is to say."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": os.getpid(),
        }
        if self._process:
            line["process"] = self._process
        if request := request_id():
            line["request_id"] = request
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            line["trace"] = list(trace_of(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Writes a record as a line for people, and a trace below it."""

    def __init__(self, process: str = "") -> None:
        """Name the process by its number, where there are several."""
        super().__init__(_TEXT.format(f"process {process}: " if process else ""))

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Write the line, with the request that it belongs to at its end."""
        request = request_id()
        return super().formatMessage(record) + (f" [request {request}]" if request else "")

    def formatException(self, ei: Any) -> str:  # noqa: ANN401 - as the class above has it
        """Write where something failed, and as what."""
        return "\n".join(trace_of(ei[1]))


def trace_of(error: BaseException) -> Iterator[str]:
    """Tell of an exception and its causes, innermost last in each: which, and from where."""
    for _ in range(CAUSES_MAX):
        yield _named(error)
        for frame in traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]:
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            return
        error = cause


def _named(error: BaseException) -> str:
    """Name an exception, with its text where that is ours and quotes nothing."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, _OURS):
        return f"{name}: {error}"
    if isinstance(error, MayweError):
        return f"{name}: {error.code.name}"
    if isinstance(error, psycopg.Error):
        place = error.diag
        named = ", ".join(filter(None, (error.sqlstate, place.table_name, place.constraint_name)))
        return f"{name}: {named}" if named else name
    if isinstance(error, OSError):
        return f"{name}: {error.strerror}"
    return name
