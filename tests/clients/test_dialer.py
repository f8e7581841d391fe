"""The dialer of docs/clients: it calls whom it may, and nobody of whom it does not know."""

import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from tests.authority import CertificateAuthority
from tests.clients.conftest import Secured
from tests.clients.programs import Language, dialling, pause, run
from tests.clients.stores import give_back, publication, take_away
from tests.integration.service_builders import consent, revocation
from tests.integration.test_rolling_restart import free_port
from tests.integration.test_serving import serving_process
from tests.running import RunningMaywe, running_maywe
from tests.waiting import until

pytestmark = pytest.mark.integration

QUESTION = ("--purpose=advertising", "--channel=phone")
UNTIL = "until 2029-05-01T00:00:00Z"
"""The end of five years' consent, from 2024-05-01."""

PATIENT = "--deadline-seconds=60"
"""Where it is not about deadlines: this machine may be busy."""

CALLS_BETWEEN = 50


def test_whoever_may_be_called_is_called_and_nobody_else(
    language: Language, maywe: RunningMaywe
) -> None:
    """Each answer is turned into what to do, and an id at fault keeps nobody else from a call."""
    maywe.client.writer.RecordConsent(consent("anna"))
    maywe.client.writer.RecordConsent(consent("boris"))
    maywe.client.writer.Revoke(revocation("boris"))
    given = "anna\nboris\nnobody\n\nanna\n"
    ended = run(language, "dialer", f"--address={maywe.address}", *QUESTION, PATIENT, given=given)
    assert ended.lines == [
        ["anna", "CALL", UNTIL],
        ["boris", "DO_NOT_CALL", "CONSENT_REVOKED"],
        ["nobody", "DO_NOT_CALL", "UNKNOWN_CUSTOMER"],
        ["", "MEND", "FIELD_INVALID"],
        ["anna", "CALL", UNTIL],
    ]
    assert (ended.status, ended.errors) == (0, "")


def test_a_question_at_fault_stops_it(language: Language, maywe: RunningMaywe) -> None:
    """No customer could be asked about."""
    arguments = [f"--address={maywe.address}", "--purpose=advertising", "--channel=pigeon", PATIENT]
    ended = run(language, "dialer", *arguments, given="anna\nboris\n")
    assert (ended.status, ended.lines) == (2, [])
    assert ended.errors.startswith("STOP INVALID_ARGUMENT FIELD_INVALID ")


@pytest.mark.slow
def test_a_rolling_restart_loses_no_call(language: Language, stores: Sequence[str]) -> None:
    """Each of two servers is ended in order and started again while calls go on; one is killed."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serving_process("decision", *stores, f"--listen={address}"))[0]
            for address in addresses
        ]
        target = f"--address=ipv4:{','.join(addresses)}"
        dialer = stack.enter_context(dialling(language, target, *QUESTION, PATIENT))
        answers = [dialer.asked("anna") for _ in range(CALLS_BETWEEN)]
        for server, address in zip(servers, addresses, strict=True):
            server.send_signal(signal.SIGTERM)
            while server.poll() is None:
                answers.append(dialer.asked("anna"))
            answers += (dialer.asked("anna") for _ in range(CALLS_BETWEEN))
            new, _ = stack.enter_context(
                serving_process("decision", *stores, f"--listen={address}")
            )
            answers += (dialer.asked("anna") for _ in range(CALLS_BETWEEN))
        new.kill()
        while new.poll() is None:
            answers.append(dialer.asked("anna"))
        answers += (dialer.asked("anna") for _ in range(CALLS_BETWEEN))
    assert [answer for answer in answers if answer != ["CALL", "no end"]] == []


def test_who_is_not_answered_in_time_is_called_later(
    language: Language, stores: Sequence[str]
) -> None:
    """The server is paused, and goes on; the dialer needs no restart."""
    with (
        serving_process("decision", *stores) as (server, address),
        dialling(language, f"--address={address}", *QUESTION, "--deadline-seconds=2") as dialer,
    ):
        until(lambda: dialer.asked("anna") == ["CALL", "no end"])
        pause(server)
        assert dialer.asked("anna") == ["LATER", "DEADLINE_EXCEEDED"]
        server.send_signal(signal.SIGCONT)
        until(lambda: dialer.asked("anna") == ["CALL", "no end"])


def test_without_a_server_everybody_is_called_later(
    language: Language, stores: Sequence[str]
) -> None:
    """And as soon as there is one, they are called."""
    address = f"127.0.0.1:{free_port()}"
    with dialling(language, f"--address={address}", *QUESTION, PATIENT) as dialer:
        assert dialer.asked("anna") == ["LATER", "UNAVAILABLE"]
        with serving_process("decision", *stores, f"--listen={address}"):
            until(lambda: dialer.asked("anna") == ["CALL", "no end"])


def test_while_a_server_can_not_know_everybody_is_called_later(
    language: Language, database_url: str, redis_namespace: str, postgres_url: str
) -> None:
    """With neither Redis nor PostgreSQL, and then with PostgreSQL again."""
    with running_maywe(database_url, "redis://127.0.0.1:1", redis_namespace) as maywe:
        maywe.client.catalog.Publish(publication())
        maywe.client.writer.RecordConsent(consent("anna"))
        with dialling(language, f"--address={maywe.address}", *QUESTION, PATIENT) as dialer:
            assert dialer.asked("anna") == ["CALL", UNTIL]
            take_away(postgres_url, database_url)
            assert dialer.asked("anna") == ["LATER", "STORE_UNAVAILABLE"]
            give_back(postgres_url, database_url)
            until(lambda: dialer.asked("anna") == ["CALL", UNTIL])


def test_a_limit_is_kept_to_by_waiting_as_long_as_the_server_says(
    language: Language, secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller of one call a second loses none of four, and is not refused twice in a row."""
    gate = secured.maywe.application.gate
    assert gate is not None
    seen: list[tuple[float, bool]] = []
    enter = gate.enter

    def noting(method: str, context: Any) -> Any:
        try:
            entered = enter(method, context)
        except Exception:
            seen.append((time.monotonic(), False))
            raise
        seen.append((time.monotonic(), True))
        return entered

    monkeypatch.setattr(gate, "enter", noting)
    credentials = secured.by_token(subject="unhurried")
    ended = run(language, "dialer", *credentials, *QUESTION, PATIENT, given="ivan\n" * 4)
    assert ended.lines == [["ivan", "CALL", UNTIL]] * 4
    refused_at = [at for at, is_taken in seen if not is_taken]
    assert refused_at
    for at in refused_at:
        # RetryInfo says one second; what is finer than a millisecond is gRPC's to round.
        next_at = min(one for one, _ in seen if one > at)
        assert next_at - at > 0.99


def test_a_credential_that_does_not_hold_stops_it(language: Language, secured: Secured) -> None:
    """Whether nobody knows who it is, or it is somebody who may not ask this."""
    unknown = run(
        language, "dialer", *secured.by_token_text("x.y.z"), *QUESTION, PATIENT, given="ivan\n"
    )
    assert (unknown.status, unknown.lines) == (2, [])
    assert unknown.errors.startswith("STOP UNAUTHENTICATED CALLER_UNKNOWN ")
    auditor = secured.by_token("auditor")
    denied = run(language, "dialer", *auditor, *QUESTION, PATIENT, given="ivan\n")
    assert (denied.status, denied.lines) == (2, [])
    assert denied.errors.startswith("STOP PERMISSION_DENIED NOT_PERMITTED ")


def test_a_server_of_another_authority_is_told_nothing(
    language: Language, secured: Secured
) -> None:
    """To gRPC it is a server that can not be reached, and nobody is called."""
    stranger = CertificateAuthority(secured.directory, "stranger")
    credentials = [*secured.by_token("decision.read"), f"--ca-file={stranger.file}"]
    ended = run(language, "dialer", *credentials, *QUESTION, PATIENT, given="ivan\n")
    assert (ended.status, ended.lines) == (0, [["ivan", "LATER", "UNAVAILABLE"]])
