"""Health, which anybody may ask: bounded, so that nobody is harmed by who asks.

What lives here: the servicer of health that every port has. What it says is the server's business.
"""

import threading
from collections.abc import Callable
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import HealthServicer

WATCHES_MAX: Final = 1000
"""Streams in which health may be watched at once; they take no thread, only memory."""


class BoundedHealth(HealthServicer):
    """Answers for services that are set before it is asked, and forgets who asked for others."""

    def __init__(self) -> None:
        """Begin with nobody watching."""
        super().__init__()
        self._watches_lock = threading.Lock()
        self._watches = 0
        self._names: set[str] = set()

    def set(self, service: str, status: Any) -> None:  # noqa: ANN401 - an enum of protobuf is no type
        """Say how a service is."""
        self._names.add(service)
        super().set(service, status)

    def Watch(
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.ServicerContext,
        send_response_callback: Callable[[Any], None] | None = None,
    ) -> Any:  # noqa: ANN401 - as the class above has it
        """Tell how a service is, and whenever that changes."""
        with self._watches_lock:
            is_one_too_many = self._watches >= WATCHES_MAX
            self._watches += not is_one_too_many
        if is_one_too_many:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watch already")
        if not context.add_callback(self._end_watch):
            self._end_watch()
        if request.service in self._names or send_response_callback is None:
            return super().Watch(request, context, send_response_callback)
        # The class above would keep each name for ever.
        status = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        send_response_callback(health_pb2.HealthCheckResponse(status=status))
        return None

    def _end_watch(self) -> None:
        with self._watches_lock:
            self._watches -= 1
