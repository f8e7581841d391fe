"""Fetching a document from somebody who may be slow, endless or hostile.

What lives here: one deadline and one length over a whole answer, redirects among it. The library's
own `timeout` bounds each wait for a byte, so that whoever sends one now and then is waited for for
ever. What the document says is its user's.
"""

import http.client
import io
import socket
import time
import urllib.request
from collections.abc import Callable
from typing import IO, Any, Final, NamedTuple

FETCH_PROBLEMS: Final = (OSError, ValueError, http.client.HTTPException)
"""What `fetch` raises."""


class AnswerTooLongError(OSError):
    """More was answered than is taken."""


class _Bounds(NamedTuple):
    """Until when (by the monotonic clock), and how long each answer may be with its headers."""

    deadline: float
    bytes_max: int
    opened: list[io.RawIOBase]
    """What is to be closed at the end: a redirect that fails leaves its answer open."""

    def seconds_left(self) -> float:
        """Give what is left of the time, more than 0. Raises TimeoutError."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            message = "no whole answer came in time"
            raise TimeoutError(message)
        return seconds


def fetch(url: str, seconds_max: float, bytes_max: int, redirected: Callable[[str], str]) -> bytes:
    """Fetch what is at a URL, in so many seconds and bytes, headers included, or not at all.

    `redirected` is given each URL that an answer sends us to, and gives that to follow or raises.
    Looking up a name takes as long as the system's resolver lets it, and connecting as
    long again for each of its addresses. Raises FETCH_PROBLEMS, of which AnswerTooLongError is one.
    """
    bounds = _Bounds(time.monotonic() + seconds_max, bytes_max, [])
    opener = urllib.request.build_opener(
        _PlainHandler(bounds), _TlsHandler(bounds), _Redirects(redirected)
    )
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - whoever gives the URL answers for it
    try:
        with opener.open(request, timeout=seconds_max) as answer:
            data: bytes = answer.read()
    finally:
        for pieces in bounds.opened:
            pieces.close()
    return data


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, redirected: Callable[[str], str]) -> None:
        self._redirected = redirected

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        return super().redirect_request(req, fp, code, msg, headers, self._redirected(newurl))


class _Connection(http.client.HTTPConnection):
    bounds: _Bounds

    def connect(self) -> None:
        self.timeout = self.bounds.seconds_left()
        super().connect()
        # For the handshake of TLS, which comes next, and for sending the request.
        self.sock.settimeout(self.bounds.seconds_left())

    def response_class(self, sock: socket.socket, *args: Any, **options: Any) -> Any:  # type: ignore[override]  # noqa: ANN401 - as the library makes its own
        return http.client.HTTPResponse(_Reading(sock, self.bounds), *args, **options)  # type: ignore[arg-type]


class _TlsConnection(http.client.HTTPSConnection, _Connection):
    """In this order `HTTPSConnection` connects by `_Connection`, and shakes hands after it."""


class _PlainHandler(urllib.request.HTTPHandler):
    def __init__(self, bounds: _Bounds) -> None:
        super().__init__()
        self._bounds = bounds

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_bound(_Connection, self._bounds), req)


class _TlsHandler(urllib.request.HTTPSHandler):
    def __init__(self, bounds: _Bounds) -> None:
        super().__init__()
        self._bounds = bounds

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_bound(_TlsConnection, self._bounds), req)


def _bound(kind: type[_Connection], bounds: _Bounds) -> Any:  # noqa: ANN401 - as the library calls it
    def connection(host: str, **options: Any) -> _Connection:  # noqa: ANN401
        made = kind(host, **options)
        made.bounds = bounds
        return made

    return connection


class _Reading:
    """What an answer takes for its socket: all it does is to read from it."""

    def __init__(self, sock: socket.socket, bounds: _Bounds) -> None:
        self._sock = sock
        self._bounds = bounds

    def makefile(self, _mode: str) -> io.BufferedReader:
        pieces = _Pieces(self._sock, self._bounds)
        self._bounds.opened.append(pieces)
        return io.BufferedReader(pieces)


class _Pieces(io.RawIOBase):
    """An answer, piece by piece as they come, until one of the bounds is met."""

    def __init__(self, sock: socket.socket, bounds: _Bounds) -> None:
        self._sock = sock
        # It keeps the connection open when the library has closed the socket, as it does.
        self._file = sock.makefile("rb", buffering=0)
        self._bounds = bounds
        self._bytes_left = bounds.bytes_max

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - any writable buffer
        self._sock.settimeout(self._bounds.seconds_left())
        count = self._file.readinto(buffer)
        self._bytes_left -= count or 0
        if self._bytes_left < 0:
            message = f"the answer is longer than {self._bounds.bytes_max} bytes"
            raise AnswerTooLongError(message)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
