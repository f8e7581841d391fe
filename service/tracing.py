"""Tracing: calls as spans of OpenTelemetry, for those who want them.

What lives here: everything that knows OpenTelemetry, which is an extra (`pip install
'maywe[tracing]'`). Nothing of it is imported, and no call does anything for it, unless an endpoint
is set. Spans say what was called and how it ended, and nothing of what was asked or answered.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc

from decision.errors import MayweError
from service.logs.requests import request_id, serving

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from opentelemetry.trace import Tracer as SpanMaker

_CARRIED: Final = ("traceparent", "tracestate")
_SECURE: Final = "https://"

_GONE: Final = "CALLER_GONE"
_INTERNAL: Final = "INTERNAL"
"""Reasons beside those of errors, as metrics have them too."""


class TracingError(Exception):
    """Traces are wanted and can not be made. The text says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "MAYWE_TRACING_ENDPOINT is set, but OpenTelemetry is not installed: "
            "pip install 'maywe[tracing]', or leave the endpoint out"
        )


class TracingSettings(NamedTuple):
    """Where spans are sent, `http(s)://HOST:PORT` of OTLP over gRPC, and of how many calls.

    `ratio`, 0 to 1, is of calls whose callers do not say themselves whether they are traced.
    """

    endpoint: str
    ratio: float


class Tracer:
    """Makes spans of calls. Safe to be used by several threads."""

    def __init__(self, spans: "SpanMaker") -> None:
        """Make spans by `spans`; use `open_tracer`."""
        from opentelemetry.trace import (  # noqa: PLC0415 - an extra
            SpanKind,
            Status,
            StatusCode,
            get_current_span,
            use_span,
        )
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - as above
            TraceContextTextMapPropagator,
        )

        self._spans = spans
        self._server = SpanKind.SERVER
        self._failed = Status(StatusCode.ERROR)
        self._propagator = TraceContextTextMapPropagator()
        self._use = use_span
        self._current = get_current_span

    @contextmanager
    def call(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        """Make a span of a call with one answer, by the full name of its method, in its thread.

        It stands below the span of the caller; what the thread does meanwhile may stand below it.
        """
        with (
            self.stream(method, context) as span,
            self._use(span, record_exception=False, set_status_on_exception=False),
        ):
            yield

    @contextmanager
    def stream(self, method: str, context: grpc.ServicerContext) -> Iterator["Span"]:
        """Make a span of a stream, which may be ended in another thread than it was begun in."""
        with serving(context):
            span = self._begin(method, context)
            reason = _GONE
            try:
                yield span
                reason = ""
            except grpc.RpcError:
                raise
            except MayweError as error:
                reason = error.code.name
                raise
            except Exception:
                reason = _INTERNAL
                raise
            finally:
                self._end(span, reason)

    def _begin(self, method: str, context: grpc.ServicerContext) -> "Span":
        carried = {
            name: value
            for name, value in context.invocation_metadata()
            if name in _CARRIED and isinstance(value, str)
        }
        service, _, name = method.removeprefix("/").partition("/")
        return self._spans.start_span(
            f"{service}/{name}",
            self._propagator.extract(carried),
            self._server,
            {
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": name,
                "maywe.request_id": request_id(),
            },
        )

    def _end(self, span: "Span", reason: str) -> None:
        if reason:
            span.set_attribute("maywe.reason", reason)
            span.set_status(self._failed)
        span.end()

    def waiting(
        self, wait: Callable[[], AbstractContextManager[None]]
    ) -> Callable[[], AbstractContextManager[None]]:
        """Give what makes a span of a wait for PostgreSQL, and waits as `wait` does."""

        @contextmanager
        def traced() -> Iterator[None]:
            if not self._current().is_recording():
                with wait():
                    yield
                return
            with (
                self._spans.start_as_current_span(
                    "wait for PostgreSQL", record_exception=False, set_status_on_exception=False
                ),
                wait(),
            ):
                yield

        return traced


@contextmanager
def open_tracer(settings: TracingSettings, server: str) -> Iterator[Tracer | None]:
    """Give what makes spans of calls, None where nobody wants them; sent by a thread of its own.

    `server` is what the process does, for whoever reads the spans. Raises TracingError.
    """
    if not settings.endpoint:
        yield None
        return
    check_tracing(settings)
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - an extra
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415 - as above

    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(settings.ratio),
        resource=Resource.create(
            {
                "service.name": f"maywe-{server}",
                "service.version": metadata.version("maywe"),
            }
        ),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(
        endpoint=settings.endpoint, insecure=not settings.endpoint.startswith(_SECURE)
    )
    # Bounded: spans that can not be sent in time are dropped.
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Tracer(provider.get_tracer("maywe"))
    finally:
        provider.shutdown()


def check_tracing(settings: TracingSettings) -> None:
    """Raise TracingError when spans are wanted and OpenTelemetry is not there."""
    if not settings.endpoint:
        return
    try:
        import opentelemetry.exporter.otlp.proto.grpc.trace_exporter  # noqa: PLC0415
        import opentelemetry.sdk.trace  # noqa: F401, PLC0415
    except ImportError as error:
        raise TracingError from error
