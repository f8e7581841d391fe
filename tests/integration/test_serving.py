"""Serving: roles, admission, broken requests, stores out of reach, and the orderly end."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import IO, Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from maywe.v1 import catalog_pb2, common_pb2, decision_pb2, event_pb2, writer_pb2
from maywe.v1.catalog_pb2_grpc import CatalogServiceStub
from sqlalchemy import create_engine, make_url, text

from service.application import ALL_ROLES, Role
from service.client import open_client
from service.composition import open_application
from service.embedded import temporary_data_directory
from service.executors import IMPORTS_MAX
from service.server import ListenError, running_server
from service.stores import NotMigratedError
from tests.authority import CertificateAuthority, TokenIssuer
from tests.integration.service_builders import catalog, failure, failure_of, purchase
from tests.running import RunningMaywe, running_maywe, settings_for
from tests.servers import close_to_connections

pytestmark = pytest.mark.integration

MAYWE: Final = Path(sys.executable).with_name("maywe")
PROCESS_SECONDS_MAX: Final = 100
"""A bound against hanging; not a performance claim."""


def check(customer_id: str = "ivan") -> decision_pb2.MayContactRequest:
    """A question about advertising by SMS."""
    return decision_pb2.MayContactRequest(
        customer_id=customer_id, channel="sms", purpose="advertising"
    )


@contextmanager
def serving_process(
    role: str, *options: str, errors: IO[str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process that serves, and the address that it printed; killed if it has not ended."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MAYWE_")
    }
    with subprocess.Popen(
        [MAYWE, "serve", role, "--listen=127.0.0.1:0", *options],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"listening on (127\.0\.0\.1:\d+)\n", line)
            assert found is not None, line
            yield process, found[1]
        finally:
            process.kill()


def test_a_process_serves_until_it_is_told_to_stop(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """It prints where it listens as one line, and ends with status 0 on SIGTERM."""
    stores = [
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
    ]
    with (
        serving_process("all", *stores) as (process, address),
        grpc.insecure_channel(address) as channel,
    ):
        failed = failure_of(
            lambda: CatalogServiceStub(channel).GetCatalog(catalog_pb2.GetCatalogRequest())
        )
        assert failed.reason == "PUBLICATION_NOT_FOUND"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PROCESS_SECONDS_MAX) == 0


@pytest.mark.slow
def test_without_addresses_it_runs_embedded_servers_and_migrates_them() -> None:
    """What was recorded is there when it is started on the same directory again."""
    with temporary_data_directory() as directory:
        for turn in range(2):
            with (
                serving_process("all", f"--data-directory={directory}", "--durable=false") as (
                    process,
                    address,
                ),
                grpc.insecure_channel(address) as channel,
            ):
                catalogs = CatalogServiceStub(channel)
                request = catalog_pb2.PublishRequest(
                    publication_id="p1", document='{"zone": "UTC"}', publisher="lawyer"
                )
                assert catalogs.Publish(request).acknowledgement.repeat is (turn == 1)
                process.send_signal(signal.SIGINT)
                assert process.wait(PROCESS_SECONDS_MAX) == 0


def test_a_database_that_is_not_migrated_is_refused(
    empty_database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """The message says what to run, and after that it serves."""
    settings = settings_for(empty_database_url, redis_url, redis_namespace)
    with (
        pytest.raises(NotMigratedError, match="maywe migrate"),
        open_application(settings, ALL_ROLES),
    ):
        pass
    migrated = subprocess.run(
        # A migration has nothing to do with Redis.
        [MAYWE, "migrate", f"--postgres-url={empty_database_url}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS_MAX,
    )
    assert migrated.stdout == "the schema is up to date now\n"
    with running_maywe(empty_database_url, redis_url, redis_namespace) as maywe:
        assert maywe.publish(catalog()) == 1


def test_each_role_serves_its_own_services(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """Two processes of one system: what one has recorded, the other answers from."""
    with (
        running_maywe(database_url, redis_url, redis_namespace, frozenset({Role.WRITER})) as writer,
        running_maywe(
            database_url, redis_url, redis_namespace, frozenset({Role.DECISION})
        ) as decision,
    ):
        writer.publish(catalog())
        recorded = writer.client.writer.RecordPurchase(purchase())
        request = check()
        request.token = recorded.acknowledgement.token
        assert decision.client.decision.MayContact(request).verdict == common_pb2.VERDICT_ALLOW
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            writer.client.decision.MayContact(check())
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            decision.client.writer.RecordPurchase(purchase())


def test_reflection_and_health_name_every_service(maywe: RunningMaywe) -> None:
    """Generic clients need no copy of the contract, and load balancers can ask."""
    with grpc.insecure_channel(maywe.address) as channel:
        # The types of these two are incomplete.
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = reflection.ServerReflectionInfo(iter([request]))
        names = {service.name for service in answer.list_services_response.service}
        ours = {f"maywe.v1.{name}Service" for name in ("Decision", "Writer", "Catalog", "Consent")}
        assert ours <= names
        health: Any = health_pb2_grpc.HealthStub(channel)
        for name in ["", *ours]:
            status = health.Check(health_pb2.HealthCheckRequest(service=name)).status
            assert status == health_pb2.HealthCheckResponse.SERVING


def test_servers_that_share_a_port_may_listen_on_it(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """One process per core on one port."""
    stores = (database_url, redis_url, redis_namespace)
    with (
        running_maywe(*stores, is_port_shared=True) as first,
        running_maywe(*stores, is_port_shared=True, listen=first.address) as second,
    ):
        assert second.address == first.address


def test_a_port_that_is_not_shared_is_refused_to_a_second_server(
    maywe: RunningMaywe, database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """Else callers would reach now one ledger and now another without knowing."""
    with (
        pytest.raises(ListenError, match="port free"),
        running_maywe(database_url, redis_url, redis_namespace, listen=maywe.address),
    ):
        pass


def test_an_address_that_is_not_ours_is_refused(maywe: RunningMaywe, tmp_path: Path) -> None:
    """In one line that names it; it has the credentials that it needs to be open to others."""
    pair = CertificateAuthority(tmp_path).issue("server")
    settings = replace(
        maywe.application.settings,
        tls_certificate_file=str(pair.certificate),
        tls_key_file=str(pair.key),
        token_keys=str(TokenIssuer(tmp_path / "keys.json").file),
    )
    with (
        pytest.raises(ListenError, match=r"192\.0\.2\.1:7"),
        running_server(replace(maywe.application, settings=settings), "192.0.2.1:7"),
    ):
        pass


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"\x0a\x02e1\x12\x03\xff\xfe\xfd", "customer_id"),
        (b"\x0a\x02e1\x12\x01a\x22\x05\x0a\x03\xcf\xf0\xe8", "product.system_code"),
        (b"\xff\xff\xff", "request"),
    ],
)
def test_a_request_that_cannot_be_read_names_the_field(
    maywe: RunningMaywe, data: bytes, field: str
) -> None:
    """Text in another encoding than UTF-8 is the caller's fault, and said to be."""
    with grpc.insecure_channel(maywe.address) as channel:
        send: Any = channel.unary_unary("/maywe.v1.WriterService/RecordPurchase")
        failed = failure_of(lambda: send(data))
        assert (failed.code, failed.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])
        stream: Any = channel.stream_stream("/maywe.v1.WriterService/ImportEvents")
        failed = failure_of(lambda: stream(iter([b"\x0a\x04\x0a\x02\xff\xfe"])))
        assert failed.fields == ["start.import_id"]


def test_an_unexpected_failure_says_nothing_but_its_incident(
    maywe: RunningMaywe, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has it under the id that the caller was told; no driver's text leaves the house."""
    with maywe.application.engine.begin() as connection:
        connection.execute(text("DROP TABLE import_progress"))
    start = writer_pb2.ImportEventsRequest(start=writer_pb2.ImportStart(import_id="i"))
    failed = failure_of(lambda: maywe.client.writer.ImportEvents(iter([start])))
    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "import_progress" not in failed.message
    assert f"incident {failed.metadata['incident_id']}" in caplog.text
    assert "import_progress" in caplog.text


def test_without_postgresql_a_write_is_unavailable_and_later_goes_on(
    maywe: RunningMaywe, postgres_url: str, database_url: str
) -> None:
    """The caller is told how long to wait, and the server needs no restart."""
    maywe.publish(catalog())
    database = make_url(database_url).database
    close_to_connections(postgres_url, database_url)
    server = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": database},
        )
        with grpc.insecure_channel(maywe.address) as channel:
            # A channel of its own, without the client's retries.
            send: Any = channel.unary_unary(
                "/maywe.v1.WriterService/RecordPurchase",
                request_serializer=event_pb2.RecordPurchaseRequest.SerializeToString,
            )
            failed = failure_of(lambda: send(purchase(event_id="e1")))
        assert (failed.code, failed.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "STORE_UNAVAILABLE",
        )
        assert (failed.metadata, failed.has_retry_info) == ({}, True)
        connection.execute(text(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true'))
    server.dispose()
    response = maywe.client.writer.RecordPurchase(purchase(event_id="e1"))
    assert response.acknowledgement.recorded_at.seconds


def test_without_redis_checks_are_answered_from_postgresql(
    database_url: str, redis_namespace: str
) -> None:
    """Writes are effective all the same, and a roll-out does not pass for effective."""
    with running_maywe(database_url, "redis://127.0.0.1:1", redis_namespace) as maywe:
        request = catalog_pb2.PublishRequest(
            publication_id="p1", document=json.dumps(catalog()), publisher="lawyer"
        )
        number = maywe.client.catalog.Publish(request).number
        recorded = maywe.client.writer.RecordPurchase(purchase())
        assert recorded.acknowledgement.durability == common_pb2.DURABILITY_EFFECTIVE
        assert maywe.client.decision.MayContact(check()).verdict == common_pb2.VERDICT_ALLOW
        question = catalog_pb2.GetPublicationRequest(number=number)
        rollout = maywe.client.catalog.GetPublication(question).rollout
        assert rollout.state != catalog_pb2.ROLLOUT_STATE_EFFECTIVE


def start_message(import_id: str) -> writer_pb2.ImportEventsRequest:
    """The first message of an import."""
    return writer_pb2.ImportEventsRequest(start=writer_pb2.ImportStart(import_id=import_id))


class OpenImport:
    """An import stream that stays open until it is told to end."""

    def __init__(self, maywe: RunningMaywe, import_id: str) -> None:
        """Open it, and wait until the server has taken it."""
        self.messages: Queue[writer_pb2.ImportEventsRequest | None] = Queue()
        self.messages.put(start_message(import_id))
        self.answers = maywe.client.writer.ImportEvents(iter(self.messages.get, None))
        next(self.answers)

    def end(self) -> None:
        """Half-close, and take the rest."""
        self.messages.put(None)
        list(self.answers)


def test_streams_beyond_the_limit_are_refused_and_take_nothing_from_checks(
    maywe: RunningMaywe,
) -> None:
    """The refusal names the executor and its limit, and says how long to wait."""
    maywe.publish(catalog())
    streams = [OpenImport(maywe, f"i{number}") for number in range(IMPORTS_MAX)]
    with grpc.insecure_channel(maywe.address) as channel:
        send: Any = channel.stream_stream(
            "/maywe.v1.WriterService/ImportEvents",
            request_serializer=writer_pb2.ImportEventsRequest.SerializeToString,
        )
        refused = failure_of(lambda: send(iter([start_message("one more")])))
    assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert refused.metadata == {"executor": "imports", "limit": str(IMPORTS_MAX)}
    assert refused.has_retry_info
    answer = maywe.client.decision.MayContact(check())
    assert answer.reason == common_pb2.REASON_UNKNOWN_CUSTOMER
    for stream in streams:
        stream.end()
    OpenImport(maywe, "one more").end()


def test_shutting_down_says_so_first_and_lets_streams_know(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """Health turns first; a stream that goes on is told to go elsewhere; then all is closed."""
    settings = settings_for(database_url, redis_url, redis_namespace)
    with open_application(settings, ALL_ROLES) as application, ExitStack() as serving:
        server = serving.enter_context(running_server(application, settings.listen))
        with (
            open_client(server.address, server.address) as client,
            grpc.insecure_channel(server.address) as channel,
        ):
            stream = OpenImport(RunningMaywe(application, client, server.address), "history")
            health: Any = health_pb2_grpc.HealthStub(channel)
            watching = health.Watch(health_pb2.HealthCheckRequest(service="maywe.v1.WriterService"))
            assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
            closing = threading.Thread(target=serving.close)
            closing.start()
            assert application.stopping.wait(PROCESS_SECONDS_MAX)
            assert next(watching).status == health_pb2.HealthCheckResponse.NOT_SERVING
            stream.messages.put(
                writer_pb2.ImportEventsRequest(chunk=writer_pb2.ImportChunk(items=[_item()]))
            )
            with pytest.raises(grpc.RpcError) as raised:
                next(stream.answers)
            assert failure(raised.value).reason == "SHUTTING_DOWN"
            assert failure(raised.value).has_retry_info
            closing.join(PROCESS_SECONDS_MAX)
            assert not closing.is_alive()


def _item() -> writer_pb2.ImportItem:
    return writer_pb2.ImportItem(position=1, event=event_pb2.Event(purchase=purchase()))
