"""Tracing against a collector that speaks OTLP; nobody pays for it who does not want it."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import pytest
from maywe.v1 import common_pb2, decision_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from service.cli.exits import Exit
from store.token import Token, decode_token
from tests.integration.service_builders import catalog, purchase
from tests.integration.test_serving import PROCESS_SECONDS_MAX, check
from tests.running import running_maywe

pytestmark = pytest.mark.integration

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT: Final = "00f067aa0ba902b7"
CUSTOMER_ID: Final = "+7 916 000-00-00"


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    requests: list[trace_service_pb2.ExportTraceServiceRequest] = field(default_factory=list)

    def Export(self, request: Any, _: grpc.ServicerContext) -> Any:  # noqa: N802 - as the contract has it
        """Take spans."""
        self.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self, name: str) -> list[trace_pb2.Span]:
        """The spans of a name."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if span.name == name
        ]


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """A collector on a free port."""
    collector = Collector()
    with ThreadPoolExecutor(1) as executor:
        server = grpc.server(executor)
        add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        add(collector, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield collector, f"http://127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


_LIST: Final = decision_pb2.ListAllowedRequest(
    contact=common_pb2.ContactQuestion(channel="sms", purpose="advertising")
)


def attributes(span: trace_pb2.Span) -> dict[str, str]:
    """What a span says of its call."""
    return {one.key: one.value.string_value for one in span.attributes}


def test_calls_are_spans_below_those_of_their_callers(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """How each ended is told, and nothing of what was asked; reads of PostgreSQL stand below."""
    traced = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
    with collecting() as (collector, endpoint):
        with running_maywe(
            database_url,
            redis_url,
            redis_namespace,
            tracing_endpoint=endpoint,
            tracing_ratio="0",
        ) as maywe:
            maywe.publish(catalog())
            recorded = maywe.client.writer.RecordPurchase(purchase(CUSTOMER_ID))
            stood = decode_token(recorded.acknowledgement.token)
            # Of a write that Redis will not show, so PostgreSQL is asked.
            later = {number: seq + 1000 for number, seq in stood.positions.items()}
            asked = check(CUSTOMER_ID)
            asked.token = Token(stood.epoch, later, 0).encode()
            maywe.client.decision.MayContact(asked, metadata=traced)
            with pytest.raises(grpc.RpcError):
                maywe.client.decision.MayContact(decision_pb2.MayContactRequest(), metadata=traced)
        answered, failed = collector.spans("maywe.v1.DecisionService/MayContact")
        assert not collector.spans("maywe.v1.WriterService/RecordPurchase"), "nobody asked for it"
    for span in (answered, failed):
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert attributes(span)["maywe.request_id"] == TRACE
    assert "maywe.reason" not in attributes(answered)
    assert attributes(failed)["maywe.reason"] == "FIELD_INVALID"
    assert failed.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    [waited, *_] = collector.spans("wait for PostgreSQL")
    assert waited.trace_id == answered.trace_id
    assert waited.parent_span_id == answered.span_id
    assert CUSTOMER_ID.encode() not in b"".join(
        one.SerializeToString() for one in collector.requests
    )


def test_all_calls_are_traced_where_the_ratio_says_so(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """Also streams, whose span ends with them."""
    with collecting() as (collector, endpoint):
        with running_maywe(
            database_url, redis_url, redis_namespace, tracing_endpoint=endpoint, tracing_ratio="1"
        ) as maywe:
            maywe.publish(catalog())
            list(maywe.client.decision.ListAllowed(_LIST))
        assert collector.spans("maywe.v1.CatalogService/Publish")
        [listed] = collector.spans("maywe.v1.DecisionService/ListAllowed")
    assert listed.end_time_unix_nano > listed.start_time_unix_nano
    assert "maywe.reason" not in attributes(listed)


def maywe_without_opentelemetry(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line where OpenTelemetry is not installed."""
    program = (
        "import sys; sys.modules['opentelemetry'] = None; "
        "from service.cli.main import main; sys.argv[0] = 'maywe'; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS_MAX,
        check=False,
    )


@pytest.mark.parametrize("processes", ["1", "2"])
def test_without_the_extra_a_server_says_what_to_install(
    database_url: str, redis_url: str, processes: str
) -> None:
    """Before anything is started; without an endpoint it needs nothing."""
    stores = [f"--postgres-url={database_url}", f"--redis-url={redis_url}"]
    done = maywe_without_opentelemetry(
        "serve",
        "decision",
        *stores,
        f"--processes={processes}",
        "--tracing-endpoint=http://127.0.0.1:4317",
    )
    assert done.returncode == Exit.USAGE
    assert "pip install 'maywe[tracing]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert maywe_without_opentelemetry("migrate", *stores).returncode == 0


def test_who_does_not_want_it_imports_nothing_of_it() -> None:
    """Nothing that makes or sends spans; what redis-py imports for its own metrics is its own."""
    program = (
        "import sys, service.cli.main, service.server, service.bulk; "
        "made = ('opentelemetry.sdk.trace', 'opentelemetry.exporter'); "
        "sys.exit(any(name.startswith(made) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
