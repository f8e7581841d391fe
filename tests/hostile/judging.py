"""Judging what a server said: whether it is an answer, and whether it tells of its inside.

What lives here: the tell-tales. Whatever a server says of itself to callers is looked through.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from tests.access import DESCRIPTORS
from tests.hostile.target import Ended, Target

_DETAILS: Final = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.RetryInfo,
)

ANSWERED: Final = frozenset(grpc.StatusCode) - {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DATA_LOSS,
    # Nothing here takes so long, and the stores are there.
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
}
"""Codes with which a call may end, whatever was sent."""

TELL_TALES: Final = re.compile(
    r"""Traceback|\.py\b|\bline\ \d+,\ in\b|site-packages|object\ at\ 0x|<class|lambda
    |\b(SELECT|INSERT|UPDATE|DELETE|RETURNING|VALUES|WHERE)\ [a-z"*(]|\bSQLSTATE\b
    |psycopg|sqlalchemy|postgresql\+|relation\ "|column\ "|constraint|tuple\ index
    |Exception|\b[A-Z][A-Za-z]+Error\b|NoneType|__[a-z]+__|unhashable|codec\ can't
    |ECONN|Errno|/(usr|home|tmp|var|proc|run|work)/|redis\.|protobuf|google\.protobuf
    |\bEXEC\b|WRONGTYPE|NOSCRIPT""",
    re.VERBOSE,
)
"""What no caller is to read: code, statements, drivers, this machine."""


def judge(target: Target, method: str, ended: Ended) -> None:
    """Assert that a call was answered, and that nothing was told that is nobody's business."""
    assert ended.code in ANSWERED, (method, ended.code, ended.details, target.log[-4000:])
    for text in said(method, ended):
        found = TELL_TALES.search(text)
        assert found is None, (method, found, text)


def judge_log(log: str) -> None:
    """Assert that nothing was logged of which nobody had thought."""
    for telling in ("Traceback", "incident"):
        place = log.find(telling)
        assert place < 0, log[max(0, place - 2000) : place + 4000]


def said(method: str, ended: Ended) -> Iterator[str]:
    """Give every text of ours in what a call was answered with, and ended with."""
    yield ended.details
    for name, value in ended.trailers:
        if name != "grpc-status-details-bin":
            yield f"{name}: {value!r}"
            continue
        assert isinstance(value, bytes)
        yield from _texts(status_pb2.Status.FromString(value))
    answer_class = GetMessageClass(_output_type(method))
    for answer in ended.answers:
        yield from _texts(answer_class.FromString(answer))


_OURS: Final = frozenset({"message", "problem", "remedy", "description", "error_message"})
"""Fields with texts that we write; what others have sent us is given back to them as it is."""


def _texts(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        parts = value if field.is_repeated else (value,)
        if field.message_type is None:
            if field.name in _OURS:
                yield from parts
        elif field.message_type.full_name == "google.protobuf.Any":
            yield from (text for part in parts for text in _texts(_unpacked(part)))
        elif not field.message_type.GetOptions().map_entry:
            yield from (text for part in parts for text in _texts(part))


def _unpacked(packed: Any) -> Message:
    for kind in _DETAILS:
        if packed.Is(kind.DESCRIPTOR):
            unpacked: Message = kind()
            packed.Unpack(unpacked)
            return unpacked
    message = f"nobody knows {packed.type_url}"
    raise AssertionError(message)


def _output_type(method: str) -> Any:
    service, _, name = method[1:].partition("/")
    return DESCRIPTORS[service].methods_by_name[name].output_type
