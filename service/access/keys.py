"""The issuer's public keys, from a file or a URL, taken over anew while we run.

What lives here: fetching and reading a JSON Web Key Set, and keeping the last good one. Tokens are
verified next door, in `tokens`.
"""

import json
import logging
import threading
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import jwt

from service.access.watched_file import Look, look_at
from service.setting_readers import read_keys

FETCH_SECONDS_MAX: Final = 5.0
BYTES_MAX: Final = 1024 * 1024
URL_REFRESH_SECONDS: Final = 60.0
"""How often a URL is asked anew; a key that is withdrawn holds for as long at most."""

UNKNOWN_KEY_REFRESH_SECONDS: Final = 5.0
"""A token that names an unknown key has the keys fetched, but not more often than this: anybody can
make such tokens."""

_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP"})
"""Public keys. A symmetric one in a published set would let anybody sign."""

_logger = logging.getLogger(__name__)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to where others could answer, whoever sends us there."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Give the request of the redirect. Raises ValueError."""
        return super().redirect_request(req, fp, code, msg, headers, read_keys(newurl))


_OPENER: Final = urllib.request.build_opener(_Redirects)


class KeySetError(Exception):
    """The set of keys can not be had. The text says why."""


class Keys(NamedTuple):
    """Keys by id; the `generation` rises with every change."""

    by_id: Mapping[str, jwt.PyJWK]
    generation: int


class KeySet:
    """The issuer's keys. Safe to be used by several threads."""

    def __init__(self, source: str) -> None:
        """Read the keys at `source`, a file or a URL.

        A file has to be there; a URL that does not answer is tried again. Raises KeySetError.
        """
        self._source = source
        # What stands behind a question mark may be a key to it.
        self._shown = source.partition("?")[0]
        self._is_url = "://" in source
        self._lock = threading.Lock()
        self._look: Look = ()
        self._asked_at = float("-inf")
        self.current = Keys({}, 0)
        try:
            self._take_over()
        except KeySetError as error:
            if not self._is_url:
                raise
            _logger.warning("%s; tokens are refused until it can be had", error)

    def refresh(self) -> None:
        """Take over what has changed, keeping what is there when that fails."""
        if self._is_url and time.monotonic() - self._asked_at < URL_REFRESH_SECONDS:
            return
        self._try_to_take_over()

    def refresh_for_unknown_key(self) -> None:
        """Look once more because a token names a key that is not there.

        While somebody else asks a URL nobody waits for it.
        """
        if self._is_url and (
            self._lock.locked() or time.monotonic() - self._asked_at < UNKNOWN_KEY_REFRESH_SECONDS
        ):
            return
        self._try_to_take_over()

    def _try_to_take_over(self) -> None:
        try:
            self._take_over()
        except KeySetError as error:
            _logger.warning("%s; those had before stay in use", error)

    def _take_over(self) -> None:
        with self._lock:
            self._asked_at = time.monotonic()
            look = look_at([] if self._is_url else [Path(self._source)])
            if look and look == self._look:
                return
            self._look = look
            keys = _read(self._fetch())
            known = {key_id: _public_part(key) for key_id, key in self.current.by_id.items()}
            if known != {key_id: _public_part(key) for key_id, key in keys.items()}:
                self.current = Keys(keys, self.current.generation + 1)
                _logger.info("%d keys of the issuer: %s", len(keys), ", ".join(sorted(keys)))

    def _fetch(self) -> bytes:
        try:
            if self._is_url:
                request = urllib.request.Request(  # noqa: S310 - the settings admit https, and http on loopback
                    self._source, headers={"Accept": "application/json"}
                )
                with _OPENER.open(request, timeout=FETCH_SECONDS_MAX) as answer:
                    data: bytes = answer.read(BYTES_MAX + 1)
            else:
                data = Path(self._source).read_bytes()
        except (OSError, ValueError) as error:
            message = f"the issuer's keys can not be read from {self._shown}"
            raise KeySetError(message) from error
        if len(data) > BYTES_MAX:
            message = f"the issuer's keys at {self._shown} are longer than {BYTES_MAX} bytes"
            raise KeySetError(message)
        return data


def _read(data: bytes) -> dict[str, jwt.PyJWK]:
    """Read a set of keys, leaving out those that are not for signatures or have no id."""
    try:
        document = json.loads(data)
        entries = document["keys"]
        keys = {
            entry["kid"]: jwt.PyJWK(entry)
            for entry in entries
            if isinstance(entry.get("kid"), str)
            and entry.get("kty") in _KEY_TYPES
            and entry.get("use", "sig") == "sig"
        }
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        jwt.PyJWTError,
    ) as error:
        message = "the issuer's keys are no JSON Web Key Set that can be read"
        raise KeySetError(message) from error
    if not keys:
        message = "the issuer's keys have none with an id that is for signatures"
        raise KeySetError(message)
    return keys


def _public_part(key: jwt.PyJWK) -> Any:  # noqa: ANN401 - JSON
    return key._jwk_data  # noqa: SLF001 - nothing public says whether two keys are the same
