"""Callers by client certificate, whose chain gRPC has verified before a call reaches us.

What lives here: which field of the certificate counts, and keeping what was found for a connection.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import grpc
from cryptography import x509

from decision.errors import UnidentifiedError
from service.access.callers_file import CERTIFICATE_FIELDS
from service.access.roles import Caller, Callers

PROPERTY_OF_FIELD: Final = {"uri": "peer_uri", "dns": "peer_dns", "common_name": "x509_common_name"}
"""The property of gRPC's authentication context in which each field of a certificate is told."""

CERTIFICATE_PROPERTY: Final = "x509_pem_cert"

KEPT_SECONDS: Final = 10.0
"""How long a connection is known by its address and names, before its certificate is read again."""

CONNECTIONS_KEPT_MAX: Final = 10_000


class _Kept(NamedTuple):
    caller: Caller
    ends_at: float
    callers: Callers


class Certificates:
    """Tells callers by their certificates. Safe to be used by several threads."""

    def __init__(self, callers: Callable[[], Callers]) -> None:
        """`callers` are those whom the file names now."""
        self._callers = callers
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, bytes], _Kept] = {}

    def caller_of(self, context: grpc.ServicerContext) -> Caller:
        """Give whose certificate a connection was made with. Raises UnidentifiedError."""
        # The whole context costs eight microseconds, these two less than one.
        identities: Iterable[bytes] = context.peer_identities() or ()
        key = context.peer(), b"\0".join(identities)
        kept = self._kept.get(key)
        if kept is not None and kept.ends_at > time.monotonic() and kept.callers is self._callers():
            return kept.caller
        callers = self._callers()
        caller, seconds_left = _read(context, callers)
        with self._lock:
            if len(self._kept) >= CONNECTIONS_KEPT_MAX:
                self._kept.clear()
            ends_at = time.monotonic() + min(KEPT_SECONDS, seconds_left)
            self._kept[key] = _Kept(caller, ends_at, callers)
        return caller


def _read(context: grpc.ServicerContext, callers: Callers) -> tuple[Caller, float]:
    found: Mapping[str, Sequence[bytes]] = context.auth_context()  # type: ignore[assignment]  # as above
    certificate = b"".join(found.get(CERTIFICATE_PROPERTY, ()))
    if not certificate:
        message = "there is neither a token nor a client certificate"
        raise UnidentifiedError(message)
    matches = {
        caller
        for field in CERTIFICATE_FIELDS
        for name in found.get(PROPERTY_OF_FIELD[field], ())
        if (caller := callers.get((field, name.decode("utf-8", "replace")))) is not None
    }
    if len(matches) != 1:
        message = (
            "the client certificate is that of several callers"
            if matches
            else "the client certificate is that of no known caller"
        )
        raise UnidentifiedError(message)
    # The handshake looked at it once, and a connection may live long.
    ends = x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()
    seconds_left = ends - time.time()
    if seconds_left <= 0:
        message = "the client certificate has expired"
        raise UnidentifiedError(message)
    [caller] = matches
    return caller, seconds_left
