"""Calling any method of the contract as anybody: for tests of who may call what.

What lives here: generic calls by a method's full name, and what they ended with.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from service.server import SERVICES
from tests.authority import TokenIssuer
from tests.running import RunningMaywe

CALL_SECONDS_MAX: Final = 20.0

DESCRIPTORS: Final = {
    descriptor.full_name: descriptor
    for descriptor in (
        *(service.descriptor for service in SERVICES),
        reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
        health_pb2.DESCRIPTOR.services_by_name["Health"],
    )
}

METHODS: Final = tuple(
    f"/{name}/{method.name}"
    for name, descriptor in DESCRIPTORS.items()
    for method in descriptor.methods
)
"""Every method of every service that is served, by its full name."""


def request_class(method: str) -> type[Message]:
    """Give the class of a method's requests."""
    return GetMessageClass(_descriptor(method).input_type)


def ended_with(
    channel: grpc.Channel,
    method: str,
    asked: Mapping[str, Any] | Message | None = None,
    token: str = "",
) -> grpc.StatusCode:
    """Make a call, read the first answer if there are many, and give the status; OK also then."""
    try:
        first_answer(channel, method, asked, token)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def first_answer(
    channel: grpc.Channel,
    method: str,
    asked: Mapping[str, Any] | Message | None = None,
    token: str = "",
) -> Any:
    """Make a call, and give the first answer; None if there is none. Raises grpc.RpcError."""
    descriptor = _descriptor(method)
    request = asked if isinstance(asked, Message) else request_class(method)(**(asked or {}))
    shape = (
        f"{'stream' if descriptor.client_streaming else 'unary'}_"
        f"{'stream' if descriptor.server_streaming else 'unary'}"
    )
    call = getattr(channel, shape)(
        method,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(descriptor.output_type).FromString,
    )
    metadata = [("authorization", f"Bearer {token}")] if token else []
    given: Message | Iterator[Message] = request
    if descriptor.client_streaming:
        given = iter([request])
    answer = call(given, timeout=CALL_SECONDS_MAX, metadata=metadata)
    if not descriptor.server_streaming:
        return answer
    first = next(itertools.islice(answer, 1), None)
    answer.cancel()
    return first


def _descriptor(method: str) -> Any:
    service, _, name = method[1:].partition("/")
    return DESCRIPTORS[service].methods_by_name[name]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server that knows its callers by their tokens."""

    maywe: RunningMaywe
    channel: grpc.Channel
    issuer: TokenIssuer

    def token(self, *roles: str, subject: str = "somebody") -> str:
        """Give a token with roles."""
        return self.issuer.token(roles, subject)

    def ended_with(self, token: str, service: str, name: str, **fields: object) -> grpc.StatusCode:
        """Make a call of the contract."""
        return ended_with(self.channel, f"/maywe.v1.{service}/{name}", fields, token)

    def answer(self, token: str, service: str, name: str, **fields: object) -> object:
        """Make a call of the contract that succeeds."""
        return first_answer(self.channel, f"/maywe.v1.{service}/{name}", fields, token)
