"""Callers by token: a JWT of the issuer, verified once and kept until it ends.

What lives here: what makes a token hold. PyJWT does the cryptography. Nothing of a token that does
not hold is believed, so it is not logged either.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import jwt

from decision.errors import UnavailableError, UnidentifiedError
from service.access.callers_file import SUBJECT
from service.access.keys import Keys, KeySet
from service.access.roles import Caller, Callers, is_name, roles_in

SCHEME: Final = "Bearer "
TOKEN_LENGTH_MAX: Final = 8192
TOKENS_KEPT_MAX: Final = 10_000
"""Beyond these all are forgotten and verified anew, which costs a tenth of a millisecond each."""

_PROBLEMS: Final = (
    (jwt.ExpiredSignatureError, "it has expired"),
    (jwt.ImmatureSignatureError, "it does not hold yet"),
    (jwt.InvalidAudienceError, "it is for somebody else (aud)"),
    (jwt.InvalidIssuerError, "it is of another issuer (iss)"),
    (jwt.MissingRequiredClaimError, "it lacks iss, aud, sub or exp"),
    (jwt.InvalidAlgorithmError, "its algorithm is not allowed"),
    (jwt.InvalidSignatureError, "its signature is wrong"),
)


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token has to say to hold here."""

    issuer: str
    audience: str
    algorithms: Sequence[str]
    leeway_seconds: float
    roles_claim: str


class _Kept(NamedTuple):
    """A token that holds: whose it is, until when, and what that rests on."""

    caller: Caller
    ends_at: float
    keys: Keys
    callers: Callers


class Tokens:
    """Tells callers by their tokens. Safe to be used by several threads."""

    def __init__(
        self,
        rules: TokenRules,
        keys: KeySet,
        callers: Callable[[], Callers],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Verify by `keys`; `callers` are those whom the file names now."""
        self._rules = rules
        self._keys = keys
        self._callers = callers
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def caller_of(self, header: str) -> Caller:
        """Give whose token an `authorization` header carries; raises as `verify`."""
        return self.known(header) or self.verify(header)

    def known(self, header: str) -> Caller | None:
        """Give whose token a header carries if it was verified before and still holds."""
        kept = self._kept.get(header)
        if (
            kept is not None
            and kept.ends_at > self._clock()
            and kept.keys is self._keys.current
            and kept.callers is self._callers()
        ):
            return kept.caller
        return None

    def verify(self, header: str) -> Caller:
        """Verify the token that a header carries, and keep whose it is.

        Raises UnidentifiedError when it does not hold, and UnavailableError while there are no keys
        to tell by.
        """
        if not header.startswith(SCHEME) or len(header) > TOKEN_LENGTH_MAX:
            message = "the authorization header is no bearer token of a fair length"
            raise UnidentifiedError(message)
        callers = self._callers()
        token = header[len(SCHEME) :]
        try:
            keys, key = self._key_of(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=list(self._rules.algorithms),
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=self._rules.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            problem = next(
                (text for kind, text in _PROBLEMS if isinstance(error, kind)), "it can not be read"
            )
            message = f"the token does not hold: {problem}"
            raise UnidentifiedError(message) from error
        caller = self._caller(claims, callers)
        with self._lock:
            if len(self._kept) >= TOKENS_KEPT_MAX:
                self._kept.clear()
            ends_at = float(claims["exp"]) + self._rules.leeway_seconds
            self._kept[header] = _Kept(caller, ends_at, keys, callers)
        return caller

    def _key_of(self, header: Mapping[str, Any]) -> tuple[Keys, jwt.PyJWK]:
        key_id = header.get("kid")
        if not isinstance(key_id, str):
            message = "the token does not hold: it names no key (kid)"
            raise UnidentifiedError(message)
        if key_id not in self._keys.current.by_id:
            self._keys.refresh_for_unknown_key()
        keys = self._keys.current
        if not keys.by_id:
            message = "there are no keys of the issuer to tell by"
            raise UnavailableError(message)
        key = keys.by_id.get(key_id)
        if key is None:
            message = "the token does not hold: its key is not among the issuer's"
            raise UnidentifiedError(message)
        return keys, key

    def _caller(self, claims: Mapping[str, Any], callers: Callers) -> Caller:
        subject = claims["sub"]
        if not isinstance(subject, str) or not is_name(subject):
            message = "the token does not hold: its subject is no name"
            raise UnidentifiedError(message)
        named = callers.get((SUBJECT, subject))
        if named is not None:
            return named
        said = claims.get(self._rules.roles_claim)
        if isinstance(said, str):
            said = said.split()
        return Caller(subject, roles_in(said if isinstance(said, list) else ()))
