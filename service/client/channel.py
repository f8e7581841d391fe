"""Channels to the decision server and the writer, and the stubs on them.

What lives here: deadlines, the retry policy and keep-alive, given once for every call, so that no
call can forget them. Streams have no deadline of their own here and are
not retried: whoever reads one knows how to go on with it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, TypeAlias

import grpc
from maywe.v1 import writer_pb2
from maywe.v1.catalog_pb2_grpc import CatalogServiceStub
from maywe.v1.consent_pb2_grpc import ConsentServiceStub
from maywe.v1.decision_pb2_grpc import DecisionServiceStub
from maywe.v1.journal_pb2_grpc import JournalServiceStub
from maywe.v1.writer_pb2_grpc import WriterServiceStub

from service.client.credentials import ClientCredentials

NO_CREDENTIALS: Final = ClientCredentials()

DEFAULT_ADDRESS: Final = "127.0.0.1:7443"
DEFAULT_TIMEOUT_SECONDS: Final = 10.0

LONG_CALL_TIMEOUT_SECONDS: Final = 900.0
"""For the calls that look at every customer or at every event."""

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of an answer. The proof of a long history is larger than the 4 MiB that gRPC takes by default."""

RECONNECT_MILLISECONDS_MIN: Final = 100
RECONNECT_MILLISECONDS_MAX: Final = 500
KEEP_ALIVE_MILLISECONDS: Final = 30_000
KEEP_ALIVE_TIMEOUT_MILLISECONDS: Final = 10_000

_LONG_CALLS: Final = frozenset({"ValidateCatalog", "PreviewPublication", "Publish"})
_IMPORT_EVENTS: Final = "/maywe.v1.WriterService/ImportEvents"


ImportEventsCall: TypeAlias = Callable[..., Any]
"""`WriterService.ImportEvents` of requests that are bytes already: an iterator of these gives one
of `ImportEventsResponse`."""


@dataclass(frozen=True, slots=True)
class Client:
    """Stubs of the five services, and where they are, for what is said when a call fails."""

    decision: DecisionServiceStub
    writer: WriterServiceStub
    catalog: CatalogServiceStub
    consent: ConsentServiceStub
    import_events: ImportEventsCall
    journal: JournalServiceStub
    decision_address: str
    writer_address: str


@contextmanager
def open_client(
    decision_address: str = DEFAULT_ADDRESS,
    writer_address: str = DEFAULT_ADDRESS,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    credentials: ClientCredentials = NO_CREDENTIALS,
) -> Iterator[Client]:
    """Open channels to both servers, or one when they are one, and close them at the end.

    The checks, lists and proofs of `DecisionService`, and the journal of them, go to the decision
    server, everything else to the writer. Nothing is connected before the first call.
    `timeout_seconds` is for each call that is no stream, its retries included. Raises
    CredentialsError.
    """
    with ExitStack() as stack:
        decision = stack.enter_context(_channel(decision_address, timeout_seconds, credentials))
        writer = decision
        if writer_address != decision_address:
            writer = stack.enter_context(_channel(writer_address, timeout_seconds, credentials))
        yield Client(
            DecisionServiceStub(decision),
            WriterServiceStub(writer),
            CatalogServiceStub(writer),
            ConsentServiceStub(writer),
            writer.stream_stream(_IMPORT_EVENTS, None, writer_pb2.ImportEventsResponse.FromString),
            JournalServiceStub(decision),
            decision_address,
            writer_address,
        )


def _channel(address: str, timeout_seconds: float, credentials: ClientCredentials) -> grpc.Channel:
    channel = credentials.channel(address, channel_options())
    return grpc.intercept_channel(channel, _Deadlines(timeout_seconds))


class _Deadlines(grpc.UnaryUnaryClientInterceptor):
    """Gives every call that is no stream its deadline.

    The service config could, but gRPC 1.85 was seen to cut the time given there by up to 2 s.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._seconds = timeout_seconds
        self._long_seconds = max(timeout_seconds, LONG_CALL_TIMEOUT_SECONDS)

    def intercept_unary_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,  # noqa: ANN401 - as grpc has it
        request: Any,  # noqa: ANN401 - of any call
    ) -> Any:  # noqa: ANN401 - as above
        if client_call_details.timeout is None:
            is_long = client_call_details.method.rpartition("/")[2] in _LONG_CALLS
            client_call_details = client_call_details._replace(
                timeout=self._long_seconds if is_long else self._seconds
            )
        return continuation(client_call_details, request)


def channel_options() -> list[tuple[str, str | int]]:
    """Give the options of a channel to our servers, the service config among them."""
    return [
        ("grpc.service_config", service_config()),
        # The config above is the one that counts, whatever a name server says.
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.keepalive_time_ms", KEEP_ALIVE_MILLISECONDS),
        ("grpc.keepalive_timeout_ms", KEEP_ALIVE_TIMEOUT_MILLISECONDS),
        # A server that was restarted is found again while the retries last.
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_MILLISECONDS_MIN),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MILLISECONDS_MAX),
    ]


def service_config() -> str:
    """Give the retry policy of every call that is no stream, and the balancing, as JSON.

    It is part of the contract and lies beside it, for every client there is. Every such call may be
    repeated safely: those that write carry an id. Where an address stands for several servers they
    are asked in turn, so that a retry meets another one; a server that is about to stop says so
    before it does, and is not asked any more. A call that reaches one in the moment in which it
    stops is CANCELLED, and may be repeated too.
    """
    return (resources.files("maywe.v1") / "service_config.json").read_text()
