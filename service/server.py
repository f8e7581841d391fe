"""The server: gRPC around an application, from the port to an orderly end.

What lives here: which services a role serves, how the server is set up, and in which order it is
shut down. What the calls do is the servicers'; which threads they run in is `executors`'.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE_NAME
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc
from maywe.v1 import (
    catalog_pb2,
    catalog_pb2_grpc,
    consent_pb2,
    consent_pb2_grpc,
    decision_pb2,
    decision_pb2_grpc,
    journal_pb2,
    journal_pb2_grpc,
    writer_pb2,
    writer_pb2_grpc,
)

from service.access.exposure import check_server_exposure, tls_files_of, warn_if_open
from service.access.table import OPEN, TABLE
from service.admitting_executor import AdmittingExecutor
from service.application import Application, Role
from service.awaiting import RequestWaits
from service.executors import Admission, Executors, open_executors, under_way_of, watchers_of
from service.guards import HandlerRecorder, awaited_handler, guarded_handler
from service.health import BoundedHealth
from service.health_port import health_port
from service.metrics.exposition import PortCollector, registry_of
from service.metrics.memory import MetricMemory
from service.metrics.port import MetricsListenError, metrics_port
from service.request_reading import UNCOMPRESSED
from service.servicers.catalog import CatalogServicer
from service.servicers.consent import ConsentServicer
from service.servicers.decision import DecisionServicer
from service.servicers.journal import JournalServicer
from service.servicers.writer import WriterServicer
from service.settings import Settings
from service.tls import TlsError, server_credentials

MESSAGE_BYTES_MAX: Final = 10 * 1024 * 1024
"""A request or a response may be so long; the contract's own limits are lower."""

KEEP_ALIVE_MILLISECONDS: Final = 30_000
KEEP_ALIVE_TIMEOUT_MILLISECONDS: Final = 10_000
"""A connection that is silent is asked whether it lives, and closed when it does not say so."""

CLIENT_PING_MILLISECONDS_MIN: Final = 10_000
"""Clients may ask us as often, also while nothing else goes on."""

CALLS_PER_CONNECTION_MAX: Final = 1024
"""Calls that one connection may have under way, as many as of the most patient kind are taken: what
is beyond waits at the client, and takes no memory here."""

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", KEEP_ALIVE_MILLISECONDS),
    ("grpc.keepalive_timeout_ms", KEEP_ALIVE_TIMEOUT_MILLISECONDS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", CLIENT_PING_MILLISECONDS_MIN),
    ("grpc.max_concurrent_streams", CALLS_PER_CONNECTION_MAX),
    *UNCOMPRESSED,
)

_logger = logging.getLogger(__name__)


class ListenError(Exception):
    """The server can not listen where it was told to."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the contract: its description, how it is registered, made, and who serves it."""

    # A ServiceDescriptor; protobuf has two classes of that name, which types do not relate.
    descriptor: Any
    register: Callable[[Any, Any], None]
    make: Callable[[Application], object]
    roles: frozenset[Role]


SERVICES: Final = (
    Service(
        decision_pb2.DESCRIPTOR.services_by_name["DecisionService"],
        decision_pb2_grpc.add_DecisionServiceServicer_to_server,
        DecisionServicer,
        frozenset({Role.DECISION}),
    ),
    Service(
        writer_pb2.DESCRIPTOR.services_by_name["WriterService"],
        writer_pb2_grpc.add_WriterServiceServicer_to_server,
        WriterServicer,
        frozenset({Role.WRITER}),
    ),
    Service(
        catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"],
        catalog_pb2_grpc.add_CatalogServiceServicer_to_server,
        CatalogServicer,
        frozenset({Role.WRITER}),
    ),
    Service(
        # It only reads the ledger, so that both can serve it.
        consent_pb2.DESCRIPTOR.services_by_name["ConsentService"],
        consent_pb2_grpc.add_ConsentServiceServicer_to_server,
        ConsentServicer,
        frozenset({Role.DECISION, Role.WRITER}),
    ),
    Service(
        journal_pb2.DESCRIPTOR.services_by_name["JournalService"],
        journal_pb2_grpc.add_JournalServiceServicer_to_server,
        JournalServicer,
        frozenset({Role.DECISION, Role.WRITER}),
    ),
)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that takes calls at `address`, HOST:PORT; the others are empty without one."""

    address: str
    health_address: str = ""
    metrics_address: str = ""


@contextmanager
def running_server(application: Application, listen: str) -> Iterator[RunningServer]:
    """Serve an application on HOST:PORT, and shut down in order at the end.

    Health says so first, and clients that watch it turn elsewhere; then no more calls are accepted,
    then running ones may finish within the grace of the settings, then all is closed. The port for
    health alone, where there is one, is open from first to last. Port 0 chooses a free one.

    Raises ListenError.
    """
    with open_executors() as executors, RequestWaits().watched() as waits:
        services = [service for service in SERVICES if service.roles & application.roles]
        names = [service.descriptor.full_name for service in services]
        services.append(_reflection_of([*names, HEALTH_SERVICE_NAME]))
        methods = frozenset(
            f"/{service.descriptor.full_name}/{method.name}"
            for service in services
            for method in service.descriptor.methods
        ) | {f"/{HEALTH_SERVICE_NAME}/{name}" for name in _HEALTH.methods_by_name}
        server = grpc.server(
            executors.housekeeping,
            interceptors=[
                Admission(
                    executors,
                    methods,
                    application.stopping,
                    application.instruments,
                )
            ],
            options=(
                *OPTIONS,
                # Off, the port of somebody else's server is refused instead of shared with it.
                ("grpc.so_reuseport", int(application.settings.is_port_shared)),
            ),
        )
        for service in services:
            _add(server, service, application, executors, waits)
        for executor in {
            executors.control,
            executors.housekeeping,
            *executors.by_method.values(),
        }:
            application.instruments.sampler.follow_gauge(
                "maywe_calls_under_way", under_way_of(executor), executor.name
            )
        health = _add_health(server, names, waits, executors.housekeeping)
        port = _bind(server, listen, application.settings)
        with (
            _health_port(health, application.settings) as health_address,
            _metrics_port(application) as metrics_address,
        ):
            server.start()
            try:
                yield RunningServer(
                    f"{listen.rpartition(':')[0]}:{port}", health_address, metrics_address
                )
            finally:
                _logger.info("shutting down")
                health.enter_graceful_shutdown()
                # Whoever watches our health has turned elsewhere by then; others are sent away.
                time.sleep(application.settings.shutdown_drain_seconds)
                application.stopping.set()
                server.stop(application.settings.shutdown_grace_seconds).wait()


def _reflection_of(names: list[str]) -> Service:
    """Give the service that describes the others, so that generic clients need no contract."""
    return Service(
        reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server,
        lambda _: reflection.ReflectionServicer([*names, reflection.SERVICE_NAME]),
        frozenset(Role),
    )


def _add(
    server: grpc.Server,
    service: Service,
    application: Application,
    executors: Executors,
    waits: RequestWaits,
) -> None:
    recorder = HandlerRecorder()
    service.register(service.make(application), recorder)
    name = service.descriptor.full_name
    handlers = {}
    for method_name, handler in recorder.handlers[name].items():
        method = service.descriptor.methods_by_name[method_name]
        full_name = f"/{name}/{method_name}"
        handlers[method_name] = guarded_handler(
            handler,
            GetMessageClass(method.input_type),
            executors.of(full_name),
            full_name,
            application.gate,
            watchers_of(full_name, application.instruments),
            waits,
        )
    server.add_registered_method_handlers(name, handlers)


def _add_health(
    server: grpc.Server, names: list[str], waits: RequestWaits, executor: AdmittingExecutor
) -> BoundedHealth:
    health = BoundedHealth()
    for name in ["", *names]:
        health.set(name, health_pb2.HealthCheckResponse.SERVING)
    _register_health(server, health, waits, executor)
    return health


def _register_health(
    server: grpc.Server, health: BoundedHealth, waits: RequestWaits, executor: AdmittingExecutor
) -> None:
    recorder = HandlerRecorder()
    register: Callable[[Any, Any], None] = health_pb2_grpc.add_HealthServicer_to_server
    register(health, recorder)
    server.add_registered_method_handlers(
        HEALTH_SERVICE_NAME,
        {
            name: awaited_handler(
                handler,
                GetMessageClass(_HEALTH.methods_by_name[name].input_type),
                f"/{HEALTH_SERVICE_NAME}/{name}",
                waits,
                executor,
            )
            for name, handler in recorder.handlers[HEALTH_SERVICE_NAME].items()
            if TABLE.get(f"/{HEALTH_SERVICE_NAME}/{name}") is OPEN
        },
    )


_HEALTH: Final[Any] = health_pb2.DESCRIPTOR.services_by_name["Health"]


@contextmanager
def _health_port(health: BoundedHealth, settings: Settings) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            address = stack.enter_context(
                health_port(health, settings.health_listen, is_port_shared=settings.is_port_shared)
            )
        except RuntimeError as error:
            raise ListenError(_LISTEN_TEXT.format(settings.health_listen)) from error
        yield address


@contextmanager
def _metrics_port(application: Application) -> Iterator[str]:
    meters = application.instruments.meters
    collector = port_collector([meters.memory], application.roles, settle=meters.settle)
    try:
        with metrics_port(registry_of(collector), application.settings.metrics_listen) as address:
            yield address
    except MetricsListenError as error:
        raise ListenError(str(error)) from error


def port_collector(
    memories: Sequence[MetricMemory],
    roles: frozenset[Role],
    processes: Callable[[], int] = lambda: 1,
    restarts: Callable[[], int] = lambda: 0,
    settle: Callable[[], None] = lambda: None,
) -> PortCollector:
    """Give what tells of the processes of a port with these roles, as `PortCollector` does."""
    services = {service.descriptor.name for service in SERVICES if service.roles & roles}
    return PortCollector(
        memories,
        frozenset(role.value for role in roles),
        frozenset({*services, "ServerReflection"}),
        processes,
        restarts,
        settle,
    )


def _bind(server: grpc.Server, listen: str, settings: Settings) -> int:
    check_server_exposure(settings, listen)
    warn_if_open(settings, listen)
    files = tls_files_of(settings)
    try:
        if files is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, server_credentials(files))
    except TlsError as error:
        raise ListenError(str(error)) from error
    except RuntimeError as error:
        raise ListenError(_LISTEN_TEXT.format(listen)) from error
    return port


_LISTEN_TEXT: Final = (
    "cannot listen on {}: is the address ours, and the port free? Processes of one installation "
    "may share a port, each with --port-shared=true"
)
