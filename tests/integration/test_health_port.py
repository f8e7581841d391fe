"""The port for health alone: what it answers, what it does not, and until when."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hpack import Encoder
from maywe.v1 import decision_pb2
from maywe.v1.decision_pb2_grpc import DecisionServiceStub

from service.application import Role
from service.composition import open_application
from service.executors import HOUSEKEEPING_THREADS
from service.server import ListenError, running_server
from tests.running import settings_for

pytestmark = pytest.mark.integration

CALL_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = "2"
SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def free_address() -> str:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


def status_at(channel: grpc.Channel, service: str = "") -> Any:
    """What a kubelet would be told."""
    health: Any = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    return health.Check(request, timeout=CALL_SECONDS).status


def test_health_is_answered_on_a_port_of_its_own(
    database_url: str, redis_url: str, redis_namespace: str, free_address: str
) -> None:
    """As a whole and by service; nothing else is there, and a stream could keep others away."""
    settings = settings_for(database_url, redis_url, redis_namespace, health_listen=free_address)
    with (
        open_application(settings, frozenset({Role.DECISION})) as application,
        running_server(application, "127.0.0.1:0"),
        grpc.insecure_channel(free_address) as channel,
    ):
        assert status_at(channel) == SERVING
        assert status_at(channel, "maywe.v1.DecisionService") == SERVING
        with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
            status_at(channel, "maywe.v1.WriterService")
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            DecisionServiceStub(channel).MayContact(
                decision_pb2.MayContactRequest(), timeout=CALL_SECONDS
            )
        health: Any = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            next(health.Watch(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS))


def test_it_says_no_while_the_server_drains(
    database_url: str, redis_url: str, redis_namespace: str, free_address: str
) -> None:
    """So that no more clients are sent there; before that it never fails to answer."""
    settings = settings_for(
        database_url,
        redis_url,
        redis_namespace,
        health_listen=free_address,
        shutdown_drain_seconds=DRAIN_SECONDS,
    )
    with (
        open_application(settings, frozenset({Role.DECISION})) as application,
        ThreadPoolExecutor(1) as executor,
        grpc.insecure_channel(free_address) as channel,
    ):
        with ExitStack() as stack:
            stack.enter_context(running_server(application, "127.0.0.1:0"))
            assert status_at(channel) == SERVING
            closing = executor.submit(stack.pop_all().close)
        while (status := status_at(channel)) == SERVING:
            assert not closing.done()
        assert status == NOT_SERVING
        closing.result()
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            status_at(channel)


def test_a_taken_health_port_is_refused(
    database_url: str, redis_url: str, redis_namespace: str, free_address: str
) -> None:
    """Else probes would ask somebody else."""
    settings = settings_for(database_url, redis_url, redis_namespace, health_listen=free_address)
    host, _, port = free_address.rpartition(":")
    with (
        socket.create_server((host, int(port))),
        open_application(settings, frozenset({Role.WORKER})) as application,
        pytest.raises(ListenError, match=f"{free_address}.*port free"),
        running_server(application, "127.0.0.1:0"),
    ):
        pass


def watch(channel: grpc.Channel, service: str = "") -> Any:
    """Begin to watch."""
    health: Any = health_pb2_grpc.HealthStub(channel)
    return health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=CALL_SECONDS)


def test_so_many_may_watch_and_no_more(
    database_url: str, redis_url: str, redis_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they ask about: anybody may, and each takes memory. Who ends makes room."""
    monkeypatch.setattr("service.health.WATCHES_MAX", 2)
    settings = settings_for(database_url, redis_url, redis_namespace)
    with (
        open_application(settings, frozenset({Role.DECISION})) as application,
        running_server(application, "127.0.0.1:0") as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        known, unknown = watch(channel), watch(channel, "made.up")
        assert next(known).status == SERVING
        assert next(unknown).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            next(watch(channel))
        unknown.cancel()
        deadline = time.monotonic() + CALL_SECONDS
        while True:
            try:
                assert next(watch(channel)).status == SERVING
                break
            except grpc.RpcError:
                assert time.monotonic() < deadline


def test_who_takes_no_message_keeps_nobody_from_asking(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """Peers that let us send nothing watch at once, more of them than there are threads."""
    settings = settings_for(database_url, redis_url, redis_namespace)
    with (
        open_application(settings, frozenset({Role.DECISION})) as application,
        running_server(application, "127.0.0.1:0") as running,
        watching_without_a_window(running.address, HOUSEKEEPING_THREADS + 1),
        grpc.insecure_channel(running.address) as channel,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest()
        for _ in range(HOUSEKEEPING_THREADS + 1):
            assert next(watch(channel)).status == SERVING
            assert health.Check(asked, timeout=CALL_SECONDS).status == SERVING


@contextmanager
def watching_without_a_window(address: str, count: int) -> Iterator[None]:
    """Watch health by a connection of HTTP/2 on which nothing may be sent."""
    host, _, port = address.rpartition(":")
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Watch",
        ":authority": address,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    encoder = Encoder()
    with socket.create_connection((host, int(port)), CALL_SECONDS) as connection:
        # An initial window of nothing.
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"\0\4\0\0\0\0"))
        for stream in range(1, 2 * count, 2):
            connection.sendall(frame(1, 4, stream, encoder.encode(headers.items())))
            connection.sendall(frame(0, 1, stream, b"\0\0\0\0\0"))
        answers = connection.makefile("rb")
        while count:
            # Headers are sent whatever the window is: each is the answer to one of them.
            length, kind = int.from_bytes(answers.read(3)), answers.read(1)
            answers.read(5 + length)
            count -= kind == b"\1"
        yield


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    """A frame of HTTP/2."""
    return len(body).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + body
