"""A port of its own for health: what a kubelet's probes ask, which speak neither TLS nor tokens.

What lives here: a second gRPC server beside the one for clients, with one call, `Health.Check`, and
the same answers. Who can reach it learns whether this server serves, and nothing else.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import SERVICE_NAME

from service.awaiting import RequestWaits
from service.guards import awaited_handler
from service.health import BoundedHealth
from service.request_reading import UNCOMPRESSED

CALLS_MAX: Final = 16
"""More calls at once are refused with `RESOURCE_EXHAUSTED`. Each has a thread, so that none waits
for another whose request does not come."""

REQUEST_SECONDS_MAX: Final = 1.0
"""A probe has its answer sooner, or does not wait for it any more."""

MESSAGE_BYTES_MAX: Final = 1024
"""A question names one service."""


@contextmanager
def health_port(health: BoundedHealth, listen: str, *, is_port_shared: bool) -> Iterator[str]:
    """Answer `Check` on HOST:PORT as long as the context lasts, and give where.

    Nowhere when `listen` is empty.

    `Watch` is not offered: whoever holds streams open could keep probes from being answered.

    Raises RuntimeError when it cannot listen there.
    """
    if not listen:
        yield ""
        return
    with (
        ThreadPoolExecutor(CALLS_MAX, thread_name_prefix="maywe health") as executor,
        RequestWaits(REQUEST_SECONDS_MAX).watched() as waits,
    ):
        server = grpc.server(
            executor,
            options=(
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.so_reuseport", int(is_port_shared)),
                *UNCOMPRESSED,
            ),
            maximum_concurrent_rpcs=CALLS_MAX,
        )
        check: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
            health.Check,
            response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
        )
        awaited = awaited_handler(
            check, health_pb2.HealthCheckRequest, f"/{SERVICE_NAME}/Check", waits
        )
        server.add_registered_method_handlers(SERVICE_NAME, {"Check": awaited})
        port = server.add_insecure_port(listen)
        server.start()
        try:
            yield f"{listen.rpartition(':')[0]}:{port}"
        finally:
            server.stop(None).wait()
