"""Callers who begin calls and send nothing, or too much of it, harm nobody else."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from maywe.v1 import decision_pb2

from service.application import ALL_ROLES
from service.composition import open_application
from service.executors import CHECK_THREADS
from service.server import running_server
from tests.authority import AUDIENCE, ISSUER, TokenIssuer
from tests.integration.service_builders import catalog, failure
from tests.running import RunningMaywe, running_maywe, settings_for

pytestmark = pytest.mark.integration

SECONDS_MAX: Final = 30.0
"""A bound against hanging."""

MAY_CONTACT: Final = "/maywe.v1.DecisionService/MayContact"
QUESTION: Final = decision_pb2.MayContactRequest(
    customer_id="anna", channel="sms", purpose="advertising"
).SerializeToString()


@contextmanager
def silent(
    channel: grpc.Channel, method: str, token: str = "", seconds: float | None = None
) -> Iterator[Any]:
    """A call that has begun, and of which no request comes."""
    never = threading.Event()

    def nothing() -> Iterator[bytes]:
        never.wait()
        yield from ()

    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    calling: Any = channel.stream_unary(method)
    call = calling.future(nothing(), metadata=metadata, timeout=seconds)
    try:
        yield call
    finally:
        never.set()
        call.cancel()


def ask(channel: grpc.Channel, token: str = "") -> None:
    """A check that is answered. Raises grpc.RpcError."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    calling: Any = channel.unary_unary(MAY_CONTACT)
    calling(QUESTION, timeout=SECONDS_MAX, metadata=metadata)


def test_checks_are_answered_while_requests_of_others_do_not_come(
    maywe: RunningMaywe,
) -> None:
    """Although there are more of them than threads, and nobody ends them."""
    maywe.publish(catalog())
    with ExitStack() as stack:
        theirs = stack.enter_context(grpc.insecure_channel(maywe.address))
        for _ in range(2 * CHECK_THREADS):
            stack.enter_context(silent(theirs, MAY_CONTACT))
        with grpc.insecure_channel(maywe.address) as channel:
            for _ in range(CHECK_THREADS):
                ask(channel)


@pytest.mark.parametrize("method", [MAY_CONTACT, "/grpc.health.v1.Health/Check"])
def test_a_call_whose_request_does_not_come_is_ended(maywe: RunningMaywe, method: str) -> None:
    """It does not hold what it holds for ever."""
    with (
        grpc.insecure_channel(maywe.address) as channel,
        silent(channel, method, seconds=SECONDS_MAX) as call,
    ):
        assert call.code() is grpc.StatusCode.CANCELLED


def test_probes_are_answered_while_requests_of_others_do_not_come(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """At the port of health too, where anybody may come."""
    settings = settings_for(database_url, redis_url, redis_namespace, health_listen="127.0.0.1:0")
    with (
        open_application(settings, ALL_ROLES) as application,
        running_server(application, settings.listen) as server,
    ):
        for address in (server.address, server.health_address):
            with ExitStack() as stack:
                theirs = stack.enter_context(grpc.insecure_channel(address))
                for _ in range(8):
                    stack.enter_context(silent(theirs, "/grpc.health.v1.Health/Check"))
                channel = stack.enter_context(grpc.insecure_channel(address))
                check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
                assert check(b"", timeout=SECONDS_MAX)


@pytest.fixture
def maywe(database_url: str, redis_url: str, redis_namespace: str) -> Iterator[RunningMaywe]:
    """A system of all roles in this process."""
    with running_maywe(database_url, redis_url, redis_namespace) as running:
        yield running


@pytest.fixture
def guarded(
    database_url: str, redis_url: str, redis_namespace: str, tmp_path: Path
) -> Iterator[tuple[RunningMaywe, TokenIssuer]]:
    """A server that knows its callers, each of whom may make very many calls."""
    issuer = TokenIssuer(tmp_path / "keys.json")
    with running_maywe(
        database_url,
        redis_url,
        redis_namespace,
        token_keys=str(issuer.file),
        token_issuer=ISSUER,
        token_audience=AUDIENCE,
        caller_calls_per_second="100000",
    ) as maywe:
        yield maywe, issuer


def test_nobody_waits_for_what_a_stranger_sends(
    guarded: tuple[RunningMaywe, TokenIssuer],
) -> None:
    """They are refused before they have sent it."""
    maywe, _ = guarded
    with (
        grpc.insecure_channel(maywe.address) as channel,
        silent(channel, MAY_CONTACT, seconds=SECONDS_MAX) as call,
    ):
        assert call.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_request_that_does_not_come_costs_its_caller_many_calls(
    guarded: tuple[RunningMaywe, TokenIssuer],
) -> None:
    """Who has a few such calls is let in for no others, and told when to come back."""
    maywe, issuer = guarded
    token = issuer.token(["decision.read"], subject="silent")
    other = issuer.token(["decision.read"], subject="other")
    ends_at = time.monotonic() + SECONDS_MAX
    with ExitStack() as stack:
        channel = stack.enter_context(grpc.insecure_channel(maywe.address))
        for _ in range(5):
            stack.enter_context(silent(channel, MAY_CONTACT, token))
        found = None
        while found is None or found.reason != "CALLER_LIMIT":
            assert time.monotonic() < ends_at
            with pytest.raises(grpc.RpcError) as raised:
                ask(channel, token)
            found = failure(raised.value)
        assert found.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert found.has_retry_info
        with pytest.raises(grpc.RpcError) as raised:
            ask(channel, other)
        assert failure(raised.value).reason == "FIELD_INVALID"
