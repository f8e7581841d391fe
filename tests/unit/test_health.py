"""Health that is watched: nobody who watches keeps the server from serving, or from stopping."""

import threading
from collections.abc import Callable
from typing import Any, Final

from grpc_health.v1 import health_pb2

from service.health import FAREWELL_SECONDS_MAX, BoundedHealth

SECONDS_MAX: Final = 30.0
SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class Stream:
    """A stream as gRPC gives it: what is sent, how a send is held up, and what ends it."""

    def __init__(self) -> None:
        """Begin with nothing sent, and nothing held up."""
        self.sent: list[int] = []
        self.may_send = threading.Event()
        self.may_send.set()
        self.is_sending = threading.Event()
        self.end: Callable[[], None] = lambda: None

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
    telling = threading.Thread(target=watch, args=(health, slow))
    telling.start()
    assert slow.is_sending.wait(SECONDS_MAX)
    ending = threading.Thread(target=gone.end, daemon=True)
    ending.start()
    ending.join(SECONDS_MAX)
    is_stuck = ending.is_alive()
    slow.may_send.set()
    telling.join(SECONDS_MAX)
    assert not is_stuck
    assert slow.sent == [SERVING]


def test_who_takes_no_message_keeps_no_server_from_stopping() -> None:
    """Others are told, and whoever asks hears it at once."""
    health, stuck = opened(), Stream()
    watch(health, stuck)
    stuck.may_send.clear()
    stopping = threading.Thread(target=health.enter_graceful_shutdown)
    stopping.start()
    stopping.join(FAREWELL_SECONDS_MAX + SECONDS_MAX / 2)
    assert not stopping.is_alive()
    asked: Any = health.Check
    assert asked(health_pb2.HealthCheckRequest(service="maywe"), Stream()).status == NOT_SERVING
    stuck.may_send.set()


def test_a_service_that_stops_serves_no_more() -> None:
    """Whatever is set after that; and who watches from then on is told so too."""
    health, early, late = opened(), Stream(), Stream()
    watch(health, early)
    health.enter_graceful_shutdown()
    health.set("maywe", SERVING)
    watch(health, late)
    assert early.sent == [SERVING, NOT_SERVING]
    assert late.sent == [NOT_SERVING]
