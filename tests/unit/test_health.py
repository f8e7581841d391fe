"""Health that is watched: nobody who watches keeps the server from serving, or from stopping."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2

from service.health import FAREWELL_SECONDS_MAX, WATCHES_PER_HOST_MAX, BoundedHealth

SECONDS_MAX: Final = 30.0
SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class RefusedError(Exception):
    """A watch was ended with a status."""


class Stream:
    """A stream as gRPC gives it: what is sent, how a send is held up, and what ends it."""

    def __init__(self, host: str = "10.0.0.1") -> None:
        """Begin with nothing sent, and nothing held up."""
        self._host = host
        self.sent: list[int] = []
        self.may_send = threading.Event()
        self.may_send.set()
        self.is_sending = threading.Event()
        self.end: Callable[[], None] = lambda: None

    def peer(self) -> str:
        """Give the peer as gRPC writes it."""
        return f"ipv4:{self._host}:41234"

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        """End it with a status, as gRPC does."""
        raise RefusedError(code, details)

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Keep what is to be called at the end."""
        self.end = callback
        return True

    def send(self, response: Any) -> None:
        """Wait until it may be sent."""
        self.is_sending.set()
        assert self.may_send.wait(SECONDS_MAX)
        if response is not None:
            self.sent.append(response.status)

    def wait_for(self, expected: list[int]) -> None:
        """Wait until this was sent, and nothing else."""
        deadline = time.monotonic() + SECONDS_MAX
        while self.sent != expected:
            assert time.monotonic() < deadline, self.sent
            time.sleep(0.01)


def watch(health: BoundedHealth, stream: Any) -> None:
    """Watch the one service that there is."""
    health.Watch(health_pb2.HealthCheckRequest(service="maywe"), stream, stream.send)


def opened() -> BoundedHealth:
    """Health of one service."""
    health = BoundedHealth()
    health.set("maywe", SERVING)
    return health


def test_who_goes_does_not_wait_for_who_is_being_told() -> None:
    """GRPC ends the one in the thread that it needs to send to the other."""
    health, slow, gone = opened(), Stream(), Stream()
    watch(health, gone)
    slow.may_send.clear()
    watch(health, slow)
    assert slow.is_sending.wait(SECONDS_MAX)
    ending = threading.Thread(target=gone.end, daemon=True)
    ending.start()
    ending.join(SECONDS_MAX)
    is_stuck = ending.is_alive()
    slow.may_send.set()
    assert not is_stuck
    slow.wait_for([SERVING])


def test_who_takes_no_message_keeps_no_server_from_stopping() -> None:
    """Others are told, and whoever asks hears it at once."""
    health, stuck, other = opened(), Stream(), Stream()
    stuck.may_send.clear()
    watch(health, stuck)
    watch(health, other)
    other.wait_for([SERVING])
    stopping = threading.Thread(target=health.enter_graceful_shutdown)
    stopping.start()
    stopping.join(FAREWELL_SECONDS_MAX + SECONDS_MAX / 2)
    assert not stopping.is_alive()
    asked: Any = health.Check
    assert asked(health_pb2.HealthCheckRequest(service="maywe"), Stream()).status == NOT_SERVING
    other.wait_for([SERVING, NOT_SERVING])
    stuck.may_send.set()


def test_a_service_that_stops_serves_no_more() -> None:
    """Whatever is set after that; and who watches from then on is told so too."""
    health, early, late = opened(), Stream(), Stream()
    watch(health, early)
    early.wait_for([SERVING])
    health.enter_graceful_shutdown()
    health.set("maywe", SERVING)
    watch(health, late)
    late.wait_for([NOT_SERVING])
    early.wait_for([SERVING, NOT_SERVING])


def test_no_host_keeps_others_from_watching() -> None:
    """Whoever has as many as one host may have is refused more; another host is not."""
    health = opened()
    first = Stream()
    watch(health, first)
    for _ in range(WATCHES_PER_HOST_MAX - 1):
        watch(health, Stream())
    with pytest.raises(RefusedError, match="too many"):
        watch(health, Stream())
    other = Stream("10.0.0.2")
    watch(health, other)
    other.wait_for([SERVING])
    first.end()
    again = Stream()
    watch(health, again)
    again.wait_for([SERVING])
