"""The issuer's public keys, from a file or a URL, taken over anew while we run.

What lives here: reading a JSON Web Key Set, and keeping the last good one. Tokens are verified next
door, in `tokens`.
"""

import json
import logging
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from service.access.fetching import FETCH_PROBLEMS, AnswerTooLongError, fetch
from service.access.watched_file import WatchedFile
from service.setting_readers import read_keys

FETCH_SECONDS_MAX: Final = 5.0
"""How long a URL may take to answer in full, and how long a call waits for it at most."""

BYTES_MAX: Final = 1024 * 1024
URL_REFRESH_SECONDS: Final = 60.0
"""How often a URL is asked anew; a key that is withdrawn holds for as long at most, while the URL
answers."""

UNKNOWN_KEY_REFRESH_SECONDS: Final = 5.0
"""A token that names an unknown key has the keys fetched, but not more often than this: anybody can
make such tokens."""

_KEY_TYPES: Final = ("RSA", "EC", "OKP")
"""Public keys. A symmetric one in a published set would let anybody sign."""

_NOT_UNDERSTOOD: Final = (
    jwt.PyJWTError,
    UnsupportedAlgorithm,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
)
"""What the library raises for a key that it does not understand, or that is none."""

_SHOWN_MAX: Final = 100
"""So many characters of what the issuer calls a key are logged."""

_NO_KEY_SET: Final = "the issuer's keys are no JSON Web Key Set that can be read"
_STAYS: Final = "those had before stay in use"

_logger = logging.getLogger(__name__)


class KeySetError(Exception):
    """The set of keys can not be had. The text says why."""


class Keys(NamedTuple):
    """Keys by id; the `generation` rises with every change."""

    by_id: Mapping[str, jwt.PyJWK]
    generation: int


class KeySet:
    """The issuer's keys. Safe to be used by several threads."""

    def __init__(self, source: str, algorithms: Collection[str]) -> None:
        """Read the keys at `source`, a file or a URL, those for signatures by `algorithms`.

        A file has to be there and to have such a key; a URL that does not answer, or has none, is
        tried again. Raises KeySetError.
        """
        self._source = source
        # What stands behind a question mark may be a key to it.
        self._shown = source.partition("?")[0]
        self._algorithms = tuple(algorithms)
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._left_out: Mapping[str, str] = {}
        self.current = Keys({}, 0)
        if "://" in source:
            self._file: WatchedFile[list[Any]] | None = None
            self._ask()
            return
        self._file = WatchedFile(Path(source), self._read, (KeySetError,), _STAYS)
        self._take_over(self._file.content())
        if not self.current.by_id:
            message = f"the issuer's keys in {source} have none that tokens are signed by here"
            raise KeySetError(message)

    def refresh(self) -> None:
        """Take over what has changed, keeping what is there when that can not be read.

        It takes FETCH_SECONDS_MAX at most, and what looking up a name and connecting take: MUST be
        called in a thread of its own.
        """
        with self._lock:
            if self._file is not None:
                self._take_over_file(self._file)
            elif time.monotonic() - self._asked_at >= URL_REFRESH_SECONDS:
                self._ask()

    def refresh_for_unknown_key(self) -> None:
        """Look once more because a token names a key that is not there.

        A URL is waited for for FETCH_SECONDS_MAX at most, however long its name takes to be looked
        up; and while somebody else asks it nobody waits for it.
        """
        if self._file is not None:
            with self._lock:
                self._take_over_file(self._file)
            return
        if not self._lock.acquire(blocking=False):
            return
        if time.monotonic() - self._asked_at < UNKNOWN_KEY_REFRESH_SECONDS:
            self._lock.release()
            return
        asking = threading.Thread(
            target=self._ask_and_release, name="maywe unknown key", daemon=True
        )
        try:
            asking.start()
        except RuntimeError:
            # There are too many threads: the token is refused, and the key comes by `refresh`.
            self._lock.release()
            return
        asking.join(FETCH_SECONDS_MAX)

    def _ask_and_release(self) -> None:
        try:
            self._ask()
        finally:
            self._lock.release()

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        try:
            self._take_over(_entries_of(self._fetch()))
        except KeySetError as error:
            stays = _STAYS if self.current.by_id else "tokens are refused until they can be had"
            _logger.warning("%s; %s", error, stays)

    def _fetch(self) -> bytes:
        try:
            return fetch(self._source, FETCH_SECONDS_MAX, BYTES_MAX, read_keys)
        except AnswerTooLongError as error:
            raise self._too_long() from error
        except FETCH_PROBLEMS as error:
            raise self._unreadable() from error

    def _read(self, path: Path) -> list[Any]:
        try:
            with path.open("rb") as file:
                data = file.read(BYTES_MAX + 1)
        except OSError as error:
            raise self._unreadable() from error
        if len(data) > BYTES_MAX:
            raise self._too_long()
        return _entries_of(data)

    def _unreadable(self) -> KeySetError:
        return KeySetError(f"the issuer's keys can not be read from {self._shown}")

    def _too_long(self) -> KeySetError:
        return KeySetError(f"the issuer's keys at {self._shown} are longer than {BYTES_MAX} bytes")

    def _take_over_file(self, file: WatchedFile[list[Any]]) -> None:
        entries = file.new_content()
        if entries is not None:
            self._take_over(entries)

    def _take_over(self, entries: list[Any]) -> None:
        """Use the keys of a set, and those alone: what the issuer has taken out holds no longer."""
        keys: dict[str, jwt.PyJWK] = {}
        left_out: dict[str, str] = {}
        for number, entry in enumerate(entries, start=1):
            try:
                key_id, key = _usable_key(entry, self._algorithms)
            except _UnusableKeyError as error:
                left_out[_name_of(entry, number)] = str(error)
            else:
                keys[key_id] = key
        for name, problem in left_out.items():
            if self._left_out.get(name) != problem:
                _logger.info("%s of the issuer is left out: %s", name, problem)
        self._left_out = left_out
        known = {key_id: _public_part(key) for key_id, key in self.current.by_id.items()}
        if known != {key_id: _public_part(key) for key_id, key in keys.items()}:
            self.current = Keys(keys, self.current.generation + 1)
            _logger.info("%d keys of the issuer: %s", len(keys), ", ".join(sorted(keys)))
        if not keys:
            _logger.error(
                "the issuer's keys at %s have none that tokens are signed by here: tokens are "
                "refused",
                self._shown,
            )


class _UnusableKeyError(Exception):
    """A key is not for us. The text says why."""


def _entries_of(data: bytes) -> list[Any]:
    """Read a set of keys, whatever each may be. Raises KeySetError."""
    try:
        entries = json.loads(data)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeySetError(_NO_KEY_SET) from error
    if not isinstance(entries, list):
        raise KeySetError(_NO_KEY_SET)
    return entries


def _usable_key(entry: Any, algorithms: Collection[str]) -> tuple[str, jwt.PyJWK]:  # noqa: ANN401 - JSON
    """Give a key and its id. Raises _UnusableKeyError."""
    problem = _problem_of(entry, algorithms)
    if problem:
        raise _UnusableKeyError(problem)
    try:
        key = jwt.PyJWK(entry)
    except _NOT_UNDERSTOOD as error:
        problem = "it can not be understood"
        raise _UnusableKeyError(problem) from error
    if key.algorithm_name not in algorithms:
        # The one that its kind stands for, where the key names none.
        problem = f"its algorithm is not allowed, {key.algorithm_name}"
        raise _UnusableKeyError(problem)
    return entry["kid"], key


def _problem_of(entry: Any, algorithms: Collection[str]) -> str:  # noqa: ANN401 - JSON
    """Give why a key is not for us, by what it says of itself; empty if nothing speaks against it.

    A private one in a published set would let anybody sign.
    """
    if not isinstance(entry, dict):
        return "it is no object"
    operations = entry.get("key_ops", ["verify"])
    return next(
        (
            problem
            for is_so, problem in (
                (not isinstance(entry.get("kid"), str), "it has no id (kid)"),
                (entry.get("kty") not in _KEY_TYPES, "it is of no kind with a public key (kty)"),
                ("d" in entry, "it is private (d), and published"),
                (entry.get("use", "sig") != "sig", "it is not for signatures (use)"),
                (
                    not isinstance(operations, list) or "verify" not in operations,
                    "it is not for verifying (key_ops)",
                ),
                (
                    "alg" in entry and entry["alg"] not in algorithms,
                    f"its algorithm is not allowed, {entry.get('alg')!r:.{_SHOWN_MAX}}",
                ),
            )
            if is_so
        ),
        "",
    )


def _name_of(entry: Any, number: int) -> str:  # noqa: ANN401 - JSON
    key_id = entry.get("kid") if isinstance(entry, dict) else None
    if not isinstance(key_id, str):
        return f"key number {number}"
    return f"key {key_id!r:.{_SHOWN_MAX}}"


def _public_part(key: jwt.PyJWK) -> Any:  # noqa: ANN401 - JSON
    return key._jwk_data  # noqa: SLF001 - nothing public says whether two keys are the same
