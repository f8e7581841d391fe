"""How the text of each kind of setting is read: each raises ValueError with what would be right.

What lives here: reading and checking one text by itself. Which settings there are, and what they
have to do with each other, is in `settings`.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from service.logs.formats import FORMATS as LOG_FORMATS
from service.metrics.port import NOWHERE
from store.redis_place import parse_redis_url

PORT_MAX: Final = 65535

EVERY_INTERFACE: Final = frozenset({"0.0.0.0", "[::]", "::"})  # noqa: S104 - refused, not used
"""Hosts that name no address."""

TOKEN_ALGORITHMS: Final = (
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "PS256",
    "PS384",
    "PS512",
    "RS256",
)
"""Signatures by a key that only the issuer has; with a shared one whoever verifies could sign."""


def read_postgres_url(text: str) -> str:
    """Read where PostgreSQL is, with our driver named; empty: nowhere."""
    if not text:
        return ""
    problem = "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Not `from`: what is quoted may be a password.
        raise ValueError(problem) from None
    if url.drivername not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise ValueError(problem)
    # Not str(), which would hide the password.
    return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def read_redis_url(text: str) -> str:
    """Read where Redis is; empty: nowhere."""
    if text:
        parse_redis_url(text)
    return text


def read_namespace(text: str) -> str:
    """Read what keys begin with."""
    if re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", text) is None:
        problem = "write 1 to 100 letters, digits and . _ : -"
        raise ValueError(problem)
    return text


def read_listen(text: str) -> str:
    """Read HOST:PORT to listen on."""
    host, colon, port = text.rpartition(":")
    if not host or not colon or not (port.isascii() and port.isdecimal() and int(port) <= PORT_MAX):
        problem = f"{text!r} is not HOST:PORT, such as 127.0.0.1:7443; port 0 chooses a free one"
        raise ValueError(problem)
    return text


def read_optional_listen(text: str) -> str:
    """Read HOST:PORT to listen on; empty: nowhere."""
    return read_listen(text) if text else ""


def read_metrics_listen(text: str) -> str:
    """Read HOST:PORT to listen on, or that there is none."""
    return text if text == NOWHERE else read_listen(text)


def read_log_format(text: str) -> str:
    """Read how logs are written."""
    return _one_of(text, LOG_FORMATS)


def read_tracing_endpoint(text: str) -> str:
    """Read where spans are sent; empty: nowhere."""
    parts = urlsplit(text)
    if text and not (parts.scheme in {"http", "https"} and parts.hostname and parts.port):
        problem = "write http://HOST:PORT or https://HOST:PORT, such as http://localhost:4317"
        raise ValueError(problem)
    return text


def read_ratio(text: str) -> float:
    """Read a part of a whole."""
    problem = f"{text!r} is not a number from 0 to 1"
    try:
        ratio = float(text)
    except ValueError as error:
        raise ValueError(problem) from error
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(problem)
    return ratio


def read_boolean(text: str) -> bool:
    """Read true or false."""
    if text not in {"true", "false"}:
        problem = f"{text!r} is neither true nor false"
        raise ValueError(problem)
    return text == "true"


def read_control_address(text: str) -> str:
    """Read HOST:PORT that others can reach; empty: not given."""
    if not text:
        return ""
    host, _, port = text.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and 0 < int(port) <= PORT_MAX
    if not host or host in EVERY_INTERFACE or not is_port:
        problem = f"{text!r} is no HOST:PORT that writers can reach, such as 10.0.0.7:7444"
        raise ValueError(problem)
    return text


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Give what reads a number of seconds within bounds."""

    def read(text: str) -> float:
        problem = f"{text!r} is not a number of seconds from {least:g} to {most:g}"
        try:
            seconds = float(text)
        except ValueError as error:
            raise ValueError(problem) from error
        if not least <= seconds <= most:
            raise ValueError(problem)
        return seconds

    return read


def count(least: int, most: int) -> Callable[[str], int]:
    """Give what reads a whole number within bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            problem = f"{text!r} is not a whole number from {least} to {most}"
            raise ValueError(problem)
        return int(text)

    return read


def one_of(*choices: str) -> Callable[[str], str]:
    """Give what reads one of some words."""

    def read(text: str) -> str:
        if text not in choices:
            problem = f"{text!r} is not one of {', '.join(choices)}"
            raise ValueError(problem)
        return text

    return read


def read_path(text: str) -> str:
    """Read the path of a file that has to be there; made absolute."""
    if not text:
        return ""
    path = Path(text).expanduser()
    if not path.is_file():
        problem = f"{text} is no file that can be found"
        raise ValueError(problem)
    return str(path.absolute())


def read_keys(text: str) -> str:
    """Read where the issuer's keys are, a file or a URL that nobody else can answer."""
    if "://" not in text:
        return read_path(text)
    problem = "write a file's path or https://…: whoever can change the keys can be anybody"
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(problem) from None
    if "@" in parts.netloc:
        problem = "write it without a login: what verifies tokens is public, and so is this URL"
        raise ValueError(problem)
    is_here = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_here)):
        raise ValueError(problem)
    return text


def read_algorithms(text: str) -> str:
    """Read a list of algorithms, with commas."""
    names = text.split(",")
    if not set(names) <= set(TOKEN_ALGORITHMS):
        problem = f"{text!r} is no list, with commas, of {', '.join(TOKEN_ALGORITHMS)}"
        raise ValueError(problem)
    return text


def read_level(text: str) -> str:
    """Read a level of the log."""
    return _one_of(text.lower(), ("debug", "info", "warning", "error"))


def _one_of(text: str, known: Sequence[str]) -> str:
    if text not in known:
        problem = f"{text!r} is not one of {', '.join(known)}"
        raise ValueError(problem)
    return text
