"""To which request a line of the log belongs: an id that the caller gave, or one made here.

What lives here: keeping the call that a thread serves, and finding its id. Nothing is looked at for
a call of which nothing is logged: of most there is nothing to say.
"""

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

REQUEST_ID: Final = "x-request-id"
TRACE_PARENT: Final = "traceparent"

# Something of the alphabet has to be there: a telephone number or an account may not pass for an id
# that goes to the log.
_REQUEST_ID: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9._:;=/+-]{8,128}", re.ASCII)
_TRACE_PARENT: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")

_BYTES: Final = 16


class _OfThread(threading.local):
    context: grpc.ServicerContext | None = None
    named: grpc.ServicerContext | None = None
    """The call that `request_id` is of."""
    request_id: str = ""


_of_thread: Final = _OfThread()


@contextmanager
def serving(context: grpc.ServicerContext) -> Iterator[None]:
    """Keep that what this thread logs within belongs to a call."""
    before = _of_thread.context
    _of_thread.context = context
    try:
        yield
    finally:
        _of_thread.context = before


def request_id() -> str:
    """Give the id of the request that this thread serves; empty outside of any."""
    context = _of_thread.context
    if context is None:
        return ""
    if _of_thread.named is not context:
        _of_thread.named = context
        _of_thread.request_id = _given_by(context) or secrets.token_hex(_BYTES)
    return _of_thread.request_id


def _given_by(context: grpc.ServicerContext) -> str:
    """Give the id that the caller gave, or that of the trace; empty where there is none of use."""
    given: dict[str, Any] = {}
    for name, value in context.invocation_metadata():
        if name in (REQUEST_ID, TRACE_PARENT):
            given.setdefault(name, value)
    own = given.get(REQUEST_ID)
    if isinstance(own, str) and _REQUEST_ID.fullmatch(own):
        return own
    parent = given.get(TRACE_PARENT)
    found = _TRACE_PARENT.fullmatch(parent) if isinstance(parent, str) else None
    return found[1] if found else ""
