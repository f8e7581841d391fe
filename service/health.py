"""Health, which anybody may ask: bounded, so that nobody is harmed by who asks.

What lives here: the servicer of health that every port has. What it says is the server's business.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import grpc
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.access.strangers import host_of

WATCHES_MAX: Final = 1000
"""Streams in which health may be watched at once; each takes a thread only while it is told."""

WATCHES_PER_HOST_MAX: Final = 200
"""Of them by one host, so that no single one keeps all others from watching. Behind a proxy all
clients have its address; each connection of a client that watches does so once."""

FAREWELL_SECONDS_MAX: Final = 1.0
"""Whoever takes no message for so long does not keep the server from stopping."""

Tell = Callable[[Any], None]

_MESSAGES: Final[Any] = health_pb2.DESCRIPTOR.message_types_by_name
_LISTED: Final[Any] = GetMessageClass(_MESSAGES["HealthListResponse"])


class BoundedHealth(health_pb2_grpc.HealthServicer):
    """Answers for services that are set before it is asked, and forgets who asked for others.

    Watchers are told without any lock but their own. gRPC's own servicer holds one lock for all
    while it waits for a message to be sent, which takes the thread of gRPC that in the same moment
    may wait for that lock, because another watcher has gone: then nothing is served any more. And
    each is told in a thread of its own, because a peer may take no message for as long as it likes.
    """

    def __init__(self) -> None:
        """Begin with nobody watching."""
        self._lock = threading.Lock()
        self._statuses: dict[str, Any] = {}
        self._is_stopping = False
        self._watches_by_host: Counter[str] = Counter()
        self._watchers: dict[str, set[_Watcher]] = {}

    def set(self, service: str, status: Any) -> None:  # noqa: ANN401 - an enum of protobuf is no type
        """Say how a service is."""
        with self._lock:
            if self._is_stopping:
                return
            self._statuses[service] = status
            watchers = list(self._watchers.setdefault(service, set()))
        _tell(watchers)

    def enter_graceful_shutdown(self) -> None:
        """Say of every service, for good, that nobody should come here any more."""
        with self._lock:
            self._is_stopping = True
            for service in self._statuses:
                self._statuses[service] = health_pb2.HealthCheckResponse.NOT_SERVING
            watchers = [one for some in self._watchers.values() for one in some]
        deadline = time.monotonic() + FAREWELL_SECONDS_MAX
        for thread in _tell(watchers):
            thread.join(max(0.0, deadline - time.monotonic()))

    def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Tell how a service is."""
        status = self._status_of(request.service)
        if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return health_pb2.HealthCheckResponse(status=status)

    def List(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - not among the types of the library
        """Tell how every service is."""
        with self._lock:
            statuses = dict(self._statuses)
        return _LISTED(
            statuses={
                name: health_pb2.HealthCheckResponse(status=status)
                for name, status in statuses.items()
            }
        )

    def Watch(
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.ServicerContext,
        send_response_callback: Tell | None = None,
    ) -> None:
        """Tell how a service is, and whenever that changes."""
        if send_response_callback is None:
            message = "health is watched without a thread, or not at all"
            raise TypeError(message)
        watcher = _Watcher(send_response_callback, lambda: self._status_of(request.service))
        host = host_of(context.peer())
        with self._lock:
            is_one_too_many = (
                self._watches_by_host.total() >= WATCHES_MAX
                or self._watches_by_host[host] >= WATCHES_PER_HOST_MAX
            )
            if not is_one_too_many:
                self._watches_by_host[host] += 1
                # A name that is not ours is not kept.
                self._watchers.get(request.service, set()).add(watcher)
        if is_one_too_many:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watch already")

        def end() -> None:
            with self._lock:
                self._watches_by_host[host] -= 1
                if not self._watches_by_host[host]:
                    del self._watches_by_host[host]
                self._watchers.get(request.service, set()).discard(watcher)
            send_response_callback(None)

        if context.add_callback(end):
            _tell([watcher])
        else:
            end()

    # No thread for as long as they last: gRPC calls back.
    Watch.experimental_non_blocking = True  # type: ignore[attr-defined]
    Watch.experimental_thread_pool = None  # type: ignore[attr-defined]

    def _status_of(self, service: str) -> Any:  # noqa: ANN401 - an enum of protobuf is no type
        with self._lock:
            return self._statuses.get(service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)


class _Watcher:
    """Somebody who watches a service."""

    def __init__(self, send: Tell, status: Callable[[], Any]) -> None:
        self._send = send
        self._status = status
        self._turn = threading.Lock()

    def tell(self) -> None:
        """Say how the service is now; who is told by two at once hears the newest last."""
        with self._turn:
            self._send(health_pb2.HealthCheckResponse(status=self._status()))


def _tell(watchers: Iterable[_Watcher]) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=watcher.tell, name="maywe health watch", daemon=True)
        for watcher in watchers
    ]
    for thread in threads:
        thread.start()
    return threads
