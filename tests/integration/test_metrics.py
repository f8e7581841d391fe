"""Metrics as real servers tell them: all of the table, of all processes, and what is counted."""

import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

import grpc
import pytest
from maywe.v1 import common_pb2, decision_pb2, writer_pb2
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from service.application import ALL_ROLES, Role
from service.composition import open_application
from service.executors import CHECKS_UNDER_WAY_MAX
from service.metrics.metric import Kind
from service.metrics.port import REQUESTS_MAX, metrics_port
from service.metrics.table import BY_NAME, METRICS
from service.server import ListenError, RunningServer, running_server
from tests.integration.ledger_builders import Ledger
from tests.integration.service_builders import catalog, failure_of, purchase, revocation
from tests.integration.test_serving import serving_process
from tests.integration.test_several_processes import CONNECTIONS, asked, children_of
from tests.metrics import Scrape, scrape, scraped_until
from tests.running import RunningMaywe, running_maywe, settings_for
from tests.waiting import until

pytestmark = pytest.mark.integration

PROCESSES: Final = 2
MAY_CONTACT: Final = "DecisionService/MayContact"


@pytest.fixture
def free_address() -> str:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


def calls(found: Scrape, method: str, code: str = "OK", reason: str = "") -> float:
    """How many calls of a method have ended in a way."""
    return found.value("maywe_calls_total", method=method, code=code, reason=reason)


@pytest.mark.slow
def test_one_address_tells_the_sum_of_all_processes_also_of_one_that_was_killed(
    ledger: Ledger, database_url: str, redis_url: str, redis_namespace: str, free_address: str
) -> None:
    """Nothing is lost or told twice, and the one in its place counts on where it was killed."""
    ledger.consent("anna")
    options = [
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
        f"--processes={PROCESSES}",
        f"--metrics-listen={free_address}",
    ]
    with serving_process("decision", *options) as (process, address):
        assert asked(address) == {common_pb2.REASON_ALLOWED}
        # More than one process was asked, or this would show nothing.
        first = scraped_until(free_address, lambda found: calls(found, MAY_CONTACT) >= CONNECTIONS)
        assert calls(first, MAY_CONTACT) == CONNECTIONS
        lookups = first.total("maywe_cache_lookups_total")
        assert lookups == CONNECTIONS
        assert first.value("maywe_processes") == PROCESSES
        assert first.value("maywe_lease_remaining_seconds") > 0
        os.kill(min(children_of(process)), signal.SIGKILL)
        killed = scrape(free_address)
        restarted = scraped_until(
            free_address,
            lambda found: (
                found.value("maywe_process_restarts_total") == 1
                and found.value("maywe_processes") == PROCESSES
            ),
        )
        for found in (killed, restarted):
            assert calls(found, MAY_CONTACT) == CONNECTIONS
            assert found.total("maywe_cache_lookups_total") == lookups
        assert asked(address) == {common_pb2.REASON_ALLOWED}
        last = scraped_until(
            free_address, lambda found: calls(found, MAY_CONTACT) >= 2 * CONNECTIONS
        )
    assert calls(last, MAY_CONTACT) == 2 * CONNECTIONS
    histogram = "maywe_call_duration_seconds"
    assert last.value(f"{histogram}_count", method=MAY_CONTACT) == 2 * CONNECTIONS
    assert last.value(f"{histogram}_bucket", method=MAY_CONTACT, le="+Inf") == 2 * CONNECTIONS
    assert last.value(f"{histogram}_sum", method=MAY_CONTACT) > 0
    assert (
        last.value("maywe_decisions_total", method=MAY_CONTACT, reason="ALLOWED") == 2 * CONNECTIONS
    )
    assert last.value("maywe_process_cpu_seconds_total") > 0


@contextmanager
def telling(
    database_url: str, redis_url: str, redis_namespace: str, roles: frozenset[Role]
) -> Iterator[RunningServer]:
    """A server in this process that tells its metrics on a free port."""
    settings = settings_for(
        database_url,
        redis_url,
        redis_namespace,
        metrics_listen="127.0.0.1:0",
        reconciled_per_second="50",
        journal="all",
    )
    with (
        open_application(settings, roles) as application,
        running_server(application, "127.0.0.1:0") as server,
    ):
        yield server


def test_servers_tell_every_metric_of_the_table_with_its_labels(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """And nothing else: so what is held to the table is held to what servers tell."""
    before = time.time()
    with telling(database_url, redis_url, redis_namespace, ALL_ROLES) as server:
        found = scraped_until(
            server.metrics_address,
            lambda found: (
                ("maywe_unmatched_purchases", frozenset({("cause", "NO_MATRIX_ROW")}))
                in found.values
            ),
        )
        open_metrics = scrape(server.metrics_address, is_open_metrics=True)
    assert open_metrics.values.keys() == found.values.keys()
    began = "maywe_process_start_time_seconds"
    assert before <= found.value(began) == open_metrics.value(began) <= time.time()
    kinds = {
        name if kind != "counter" else f"{name}_total": kind
        for name, kind in found.families.items()
    }
    assert kinds == {metric.name: metric.kind.value for metric in METRICS}
    for metric in METRICS:
        labels = frozenset(label.name for label in metric.labels)
        told = [f"{metric.name}_count"] if metric.kind is Kind.HISTOGRAM else [metric.name]
        for name in told:
            assert found.labels_of(name) == {labels}, name


@pytest.mark.parametrize("role", list(Role))
def test_each_kind_of_server_tells_what_the_table_says(
    database_url: str, redis_url: str, redis_namespace: str, role: Role
) -> None:
    """Nothing that it does not do, and no methods that it does not serve."""
    with telling(database_url, redis_url, redis_namespace, frozenset({role})) as server:
        found = scrape(server.metrics_address)
    names = {
        metric.name.removesuffix("_total") for metric in METRICS if role.value in metric.servers
    }
    assert set(found.families) == names
    methods = {
        value
        for name, labels in found.values
        if name == "maywe_calls_total"
        for label, value in labels
        if label == "method"
    }
    assert ("DecisionService/MayContact" in methods) is (role is Role.DECISION)
    assert ("WriterService/Revoke" in methods) is (role is Role.WRITER)


def test_nothing_else_is_answered_and_a_port_of_somebody_else_is_refused(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """The address has one path; who can not have it does not start."""
    roles = frozenset({Role.DECISION})
    with telling(database_url, redis_url, redis_namespace, roles) as server:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{server.metrics_address}/", timeout=20)
        settings = settings_for(
            database_url, redis_url, redis_namespace, metrics_listen=server.metrics_address
        )
        with (
            open_application(settings, roles) as application,
            pytest.raises(ListenError, match="metrics"),
            running_server(application, "127.0.0.1:0"),
        ):
            pass


def test_connections_that_send_a_byte_now_and_then_do_not_silence_metrics() -> None:
    """A connection has its time as a whole, and not for every byte."""
    with (
        metrics_port(CollectorRegistry(), "127.0.0.1:0", request_seconds_max=0.5) as address,
        ExitStack() as stack,
    ):
        host, _, port = address.rpartition(":")
        trickling = [
            stack.enter_context(socket.create_connection((host, int(port))))
            for _ in range(REQUESTS_MAX)
        ]

        def is_told() -> bool:
            for connection in trickling:
                # An ended one takes nothing any more.
                with suppress(OSError):
                    connection.send(b"G")
            with suppress(OSError):
                return bool(scrape(address))
            return False

        until(is_told)


@pytest.fixture
def watched(database_url: str, redis_url: str, redis_namespace: str) -> Iterator[RunningMaywe]:
    """A whole system with a catalog."""
    with running_maywe(
        database_url, redis_url, redis_namespace, metrics_listen="127.0.0.1:0"
    ) as maywe:
        maywe.publish(catalog())
        yield maywe


def check(customer_id: str = "anna", channel: str = "sms") -> decision_pb2.MayContactRequest:
    """A question about advertising."""
    return decision_pb2.MayContactRequest(
        customer_id=customer_id, channel=channel, purpose="advertising"
    )


def test_calls_are_counted_by_how_they_ended(watched: RunningMaywe) -> None:
    """Answers with their reason, faults, defects, streams; writes with what they promise."""
    client = watched.client
    client.writer.RecordPurchase(purchase("anna"))
    client.writer.Revoke(revocation("anna"))
    client.decision.MayContact(check())
    client.decision.MayContact(check("nobody-known"))
    failure_of(lambda: client.decision.MayContact(check(channel="pigeon")))
    batch = decision_pb2.BatchCheckRequest(
        checks=[
            decision_pb2.BatchCheckItem(contact=check(channel=channel))
            for channel in ("sms", "sms", "pigeon")
        ]
    )
    client.decision.BatchCheck(batch)
    with watched.application.engine.begin() as connection:
        connection.execute(text("DROP TABLE import_progress"))
    start = writer_pb2.ImportEventsRequest(start=writer_pb2.ImportStart(import_id="i"))
    failure_of(lambda: client.writer.ImportEvents(iter([start])))
    found = scrape(watched.metrics_address)
    assert calls(found, "WriterService/RecordPurchase") == 1
    assert calls(found, MAY_CONTACT) == 2
    assert calls(found, MAY_CONTACT, "INVALID_ARGUMENT", "FIELD_INVALID") == 1
    assert calls(found, "WriterService/ImportEvents", "INTERNAL", "INTERNAL") == 1
    assert found.value("maywe_streams_open", method="WriterService/ImportEvents") == 0
    for reason in ("CONSENT_REVOKED", "UNKNOWN_CUSTOMER"):
        assert found.value("maywe_decisions_total", method=MAY_CONTACT, reason=reason) == 1
    assert found.value("maywe_batch_checks_total", outcome="answered") == 2
    assert found.value("maywe_batch_checks_total", outcome="refused") == 1
    assert found.total("maywe_acknowledgements_total") == 2
    assert found.value("maywe_call_duration_seconds_count", method=MAY_CONTACT) == 3
    assert found.total("maywe_cache_lookups_total") == 4


def test_shed_calls_are_counted_before_they_have_a_thread(watched: RunningMaywe) -> None:
    """With the pool that is full, as calls and as shed ones."""
    with grpc.insecure_channel(watched.address) as channel:
        send: Any = channel.unary_unary(
            "/maywe.v1.DecisionService/MayContact",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=decision_pb2.MayContactResponse.FromString,
        )
        pending = [send.future(check(), timeout=60) for _ in range(20 * CHECKS_UNDER_WAY_MAX)]
        codes = [call.code() for call in pending]
    shed = codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert shed
    found = scrape(watched.metrics_address)
    assert found.value("maywe_shed_calls_total", limit="checks") == shed
    assert calls(found, MAY_CONTACT, "RESOURCE_EXHAUSTED", "OVERLOADED") == shed
    assert calls(found, MAY_CONTACT) == len(codes) - shed


def test_labels_name_nobody(watched: RunningMaywe) -> None:
    """Whatever is asked about: a label has the values of the table and no others."""
    customer_id = "+7 916 000-00-00"
    watched.client.writer.RecordPurchase(purchase(customer_id))
    watched.client.decision.MayContact(check(customer_id))
    for name, labels in scrape(watched.metrics_address).values:
        metric = BY_NAME[name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")]
        allowed = {label.name: label.values for label in metric.labels}
        for label, value in labels:
            assert label == "le" or value in allowed[label]
