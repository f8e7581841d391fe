"""What servers log: as JSON, with the request's id, and of refused calls whom and why."""

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any, Final

import grpc
import pytest
from maywe.v1 import consent_pb2, decision_pb2
from sqlalchemy import text

from service.logs.formats import JsonFormatter
from service.logs.requests import REQUEST_ID, TRACE_PARENT
from store.token import Token, decode_token
from tests.authority import AUDIENCE, ISSUER, CertificateAuthority, TokenIssuer
from tests.integration.service_builders import catalog, purchase
from tests.integration.test_serving import check, serving_process
from tests.running import RunningMaywe, running_maywe
from tests.waiting import until

pytestmark = pytest.mark.integration

GIVEN: Final = "dialer-7f/0042"
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
CUSTOMER_ID: Final = "+7 916 000-00-00"
SECONDS_MAX: Final = 30.0


class Written(logging.Handler):
    """Keeps every line as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.texts.append(self.format(record))

    def lines(self, message: str) -> list[dict[str, Any]]:
        """The lines whose message begins so."""
        found = [json.loads(text) for text in self.texts]
        return [line for line in found if line["message"].startswith(message)]


@pytest.fixture
def written() -> Iterator[Written]:
    """What is written while a test runs."""
    handler = Written()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def failing(call: Any, request: Any, *metadata: tuple[str, str]) -> dict[str, Any]:
    """The trailers of a call that fails."""
    with pytest.raises(grpc.RpcError) as raised:
        call(request, metadata=metadata)
    error: Any = raised.value
    return dict(error.trailing_metadata())


def test_a_defect_is_found_by_the_request_id_of_the_caller(
    maywe: RunningMaywe, written: Written
) -> None:
    """In the log and in the trailer; the trace says where, and quotes nothing that was sent."""
    maywe.publish(catalog())
    with maywe.application.engine.begin() as connection:
        # What PostgreSQL says then quotes the whole row.
        connection.execute(text("ALTER TABLE customer ADD CHECK (length(customer_id) < 5)"))
    call = maywe.client.writer.RecordPurchase
    trailers = failing(call, purchase(CUSTOMER_ID), (REQUEST_ID, GIVEN))
    assert trailers[REQUEST_ID] == GIVEN
    [line] = written.lines("incident")
    assert line["request_id"] == GIVEN
    assert line["level"] == "error"
    trace = "\n".join(line["trace"])
    assert "CheckViolation: 23514, customer" in trace
    assert "recording.py" in trace
    assert CUSTOMER_ID not in "".join(written.texts)


TRACE_PARENTS: Final = (TRACE_PARENT, f"00-{TRACE}-00f067aa0ba902b7-01")


def test_ids_are_taken_over_if_they_are_fit_for_a_log(maywe: RunningMaywe) -> None:
    """What is too long, could be somebody's number, or no id at all, is replaced by one of ours."""
    call = maywe.client.decision.MayContact

    def told(*metadata: tuple[str, str]) -> str:
        found: str = failing(call, decision_pb2.MayContactRequest(), *metadata)[REQUEST_ID]
        return found

    assert told(TRACE_PARENTS) == TRACE
    assert told(TRACE_PARENTS, (REQUEST_ID, GIVEN)) == GIVEN
    unfit = (CUSTOMER_ID, "79160000000", "short", "a" * 129, 'abcdefgh"},{"level":"x', "")
    ours = {told((REQUEST_ID, one)) for one in unfit} | {told(), told()}
    ours.add(told((TRACE_PARENT, f"00-{'0' * 32}-00f067aa0ba902b7-01")))
    assert len(ours) == len(unfit) + 3, "each has one of its own"
    assert all(len(one) == len(TRACE) and one.isalnum() for one in ours)


def test_refused_calls_are_logged_with_caller_and_reason(
    database_url: str, redis_url: str, redis_namespace: str, tmp_path: Any, written: Written
) -> None:
    """As fields, with the request's id; neither the customer nor the token is there."""
    issuer = TokenIssuer(tmp_path / "keys.json")
    with (
        running_maywe(
            database_url,
            redis_url,
            redis_namespace,
            token_keys=str(issuer.file),
            token_issuer=ISSUER,
            token_audience=AUDIENCE,
        ) as maywe,
        grpc.insecure_channel(maywe.address) as channel,
    ):
        call: Any = channel.unary_unary(
            "/maywe.v1.DecisionService/MayContact",
            request_serializer=decision_pb2.MayContactRequest.SerializeToString,
            response_deserializer=decision_pb2.MayContactResponse.FromString,
        )
        token = issuer.token(["writer"], "crm")
        failing(call, check(CUSTOMER_ID), (REQUEST_ID, GIVEN), ("authorization", f"Bearer {token}"))
        failing(call, check(CUSTOMER_ID), ("authorization", "Bearer not.a.token"))
    permitted, identified = written.lines("refused")
    told = ("method", "caller", "reason", "count")
    assert [permitted[name] for name in told] == [
        "/maywe.v1.DecisionService/MayContact",
        "crm",
        "no role of the caller allows this call",
        1,
    ]
    assert permitted["request_id"] == GIVEN
    assert identified["caller"] == "somebody unidentified"
    assert CUSTOMER_ID not in "".join(written.texts)
    assert token not in "".join(written.texts)


def test_without_stores_it_is_logged_who_was_not_answered(
    maywe: RunningMaywe, written: Written
) -> None:
    """With the reason, and nothing of the request."""
    maywe.publish(catalog())
    recorded = maywe.client.writer.RecordPurchase(purchase(CUSTOMER_ID))
    stood = decode_token(recorded.acknowledgement.token)
    # Of a write that Redis will not show, so PostgreSQL is asked.
    later = {number: seq + 1000 for number, seq in stood.positions.items()}
    asked = check(CUSTOMER_ID)
    asked.token = Token(stood.epoch, later, 0).encode()
    with maywe.application.engine.begin() as connection:
        # Held against all who read states.
        connection.execute(text("LOCK TABLE state IN ACCESS EXCLUSIVE MODE"))
        failing(maywe.client.decision.MayContact, asked)
    # More than once, as the client tries again.
    told = {(line["method"], line["reason"]) for line in written.lines("refused")}
    assert told == {("/maywe.v1.DecisionService/MayContact", "STORE_UNAVAILABLE")}


def test_a_postgresql_that_hangs_is_logged_also_where_callers_give_up_first(
    maywe: RunningMaywe, written: Written
) -> None:
    """It lets a statement go on for a minute, and hardly a caller waits that long."""
    maywe.publish(catalog())
    maywe.client.writer.RecordPurchase(purchase(CUSTOMER_ID))
    with maywe.application.engine.begin() as connection:
        connection.execute(text("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(grpc.RpcError):
            maywe.client.consent.GetConsentCard(
                consent_pb2.GetConsentCardRequest(customer_id=CUSTOMER_ID), timeout=0.5
            )
        until(lambda: bool(written.lines("refused")))
    [line] = written.lines("refused")
    assert (line["method"], line["reason"]) == (
        "/maywe.v1.ConsentService/GetConsentCard",
        "DEADLINE_EXCEEDED",
    )
    assert CUSTOMER_ID not in "".join(written.texts)


def test_a_process_writes_json_lines_and_nothing_of_what_was_asked_wrongly(
    database_url: str, redis_url: str, redis_namespace: str, tmp_path: Any
) -> None:
    """Standard error is no terminal here: every line is an object with a time and a level."""
    errors = tmp_path / "errors"
    options = [
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
        "--bulk-processes=0",
    ]
    with (
        errors.open("w") as file,
        serving_process("all", *options, errors=file) as (process, address),
        grpc.insecure_channel(address) as channel,
    ):
        send: Any = channel.unary_unary("/maywe.v1.DecisionService/MayContact")
        failing(send, check(CUSTOMER_ID).SerializeToString(), (REQUEST_ID, GIVEN))
        process.terminate()
        assert process.wait(60) == 0
    lines = [json.loads(line) for line in errors.read_text().splitlines()]
    assert all(line.keys() >= {"time", "level", "logger", "message", "pid"} for line in lines)
    assert "shutting down" in [line["message"] for line in lines]
    assert GIVEN not in errors.read_text()
    assert not [line for line in lines if line["message"].startswith("Context impl")]


@pytest.mark.parametrize("processes", [1, 2])
def test_failed_handshakes_leave_the_log_as_it_is(
    database_url: str, redis_url: str, redis_namespace: str, tmp_path: Any, processes: int
) -> None:
    """Whoever opens connections to a port of TLS writes nothing; lines of it all are JSON."""
    authority = CertificateAuthority(tmp_path)
    server = authority.issue("server", addresses=["127.0.0.1"])
    issuer = TokenIssuer(tmp_path / "keys.json")
    errors = tmp_path / "errors"
    options = [
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
        f"--tls-certificate-file={server.certificate}",
        f"--tls-key-file={server.key}",
        f"--token-keys={issuer.file}",
        f"--token-issuer={ISSUER}",
        f"--token-audience={AUDIENCE}",
        f"--processes={processes}",
    ]
    with (
        errors.open("w") as file,
        serving_process("decision", *options, errors=file) as (process, address),
    ):
        host, _, port = address.rpartition(":")
        for sent in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05nosuch") * 2:
            with socket.create_connection((host, int(port)), SECONDS_MAX) as connection:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        process.terminate()
        assert process.wait(60) == 0
    lines = [json.loads(line) for line in errors.read_text().splitlines()]
    assert "shutting down" in [line["message"] for line in lines]
