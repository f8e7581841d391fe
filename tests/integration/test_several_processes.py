"""Several decision processes on one port: `maywe serve decision --processes 2`."""

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Final

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, decision_pb2, event_pb2
from maywe.v1.decision_pb2_grpc import DecisionServiceStub
from maywe.v1.writer_pb2_grpc import WriterServiceStub
from sqlalchemy import select

from service.cli.exits import Exit
from store.schema import lease
from tests.integration.ledger_builders import Ledger
from tests.integration.test_serving import MAYWE, PROCESS_SECONDS_MAX, serving_process
from tests.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CONNECTIONS: Final = 24
"""So many that the kernel gives some of them to each of two processes, all but surely."""

CALL_SECONDS: Final = 30.0
PROCESSES: Final = 2


@pytest.fixture
def stores(database_url: str, redis_url: str, redis_namespace: str) -> list[str]:
    """The options by which servers find the stores."""
    return [
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
    ]


def children_of(process: "subprocess.Popen[str]") -> set[int]:
    """The processes that another has started and that live."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = status.read_text().partition(" (")
        except OSError:
            continue
        state, parent, *_ = rest.rpartition(") ")[2].split()
        if int(parent) == process.pid and state != "Z":
            found.add(int(number))
    return found


def ask(address: str) -> "common_pb2.Reason":
    """Ask about a call to Anna on a connection of its own; a connection that breaks is none."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options=options) as channel:
        response = DecisionServiceStub(channel).MayContact(
            decision_pb2.MayContactRequest(
                customer_id="anna", channel="phone", purpose="advertising"
            ),
            timeout=CALL_SECONDS,
            wait_for_ready=True,
        )
    return response.reason


def asked(address: str) -> set["common_pb2.Reason"]:
    """What is answered on many connections."""
    return {ask(address) for _ in range(CONNECTIONS)}


def test_each_answers_when_the_other_was_killed(ledger: Ledger, stores: list[str]) -> None:
    """Who was killed is started again, on the same port; the end of all is status 0."""
    ledger.consent("anna")
    with serving_process("decision", *stores, "--processes=2") as (process, address):
        first, second = sorted(children_of(process))
        assert asked(address) == {common_pb2.REASON_ALLOWED}
        for killed in (first, second):
            os.kill(killed, signal.SIGKILL)
            until(lambda killed=killed: killed not in children_of(process))  # type: ignore[misc]  # a default binds the name now
            assert asked(address) == {common_pb2.REASON_ALLOWED}
            until(lambda: len(children_of(process)) == PROCESSES)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PROCESS_SECONDS_MAX) == 0
    assert not children_of(process)


def control_addresses(ledger: Ledger) -> list[str]:
    """Where processes with a lease listen to writers."""
    with ledger.engine.connect() as connection:
        return list(connection.scalars(select(lease.c.control_address)))


def test_a_revocation_is_effective_with_all_of_them(ledger: Ledger, stores: list[str]) -> None:
    """Each has a lease and a control port of its own, so each is told and none allows any more."""
    ledger.consent("anna")
    with (
        serving_process("writer", *stores) as (_, writer),
        serving_process("decision", *stores, "--processes=2") as (_, address),
        grpc.insecure_channel(writer) as channel,
    ):
        assert len(set(control_addresses(ledger))) == PROCESSES
        assert asked(address) == {common_pb2.REASON_ALLOWED}
        revoked_at = Timestamp()
        revoked_at.GetCurrentTime()
        revoked = WriterServiceStub(channel).Revoke(
            event_pb2.RevokeRequest(
                event_id="revocation",
                customer_id="anna",
                revoked_at=revoked_at,
                selector=common_pb2.Selector(all=True),
            ),
            timeout=CALL_SECONDS,
        )
        assert revoked.acknowledgement.durability == common_pb2.DURABILITY_EFFECTIVE
        assert asked(address) == {common_pb2.REASON_CONSENT_REVOKED}


def test_somebody_elses_port_is_refused(stores: list[str]) -> None:
    """Processes share a port among themselves and with nobody who did not agree to it."""
    with (
        serving_process("decision", *stores) as (_, address),
        subprocess.Popen(
            [MAYWE, "serve", "decision", *stores, f"--listen={address}", "--processes=2"],
            stderr=subprocess.PIPE,
            text=True,
        ) as refused,
    ):
        assert refused.wait(PROCESS_SECONDS_MAX) == Exit.NOT_KNOWN
        assert refused.stderr is not None
        assert f"cannot listen on {address}" in refused.stderr.read()


def test_it_ends_when_told_to_while_its_processes_start(redis_url: str) -> None:
    """They wait for a PostgreSQL that does not answer; nobody waits for them, and none is left."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        host, port = deaf.getsockname()
        with subprocess.Popen(
            [
                MAYWE,
                "serve",
                "decision",
                f"--postgres-url=postgresql://maywe@{host}:{port}/maywe",
                f"--redis-url={redis_url}",
                "--listen=127.0.0.1:0",
                "--processes=2",
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            until(lambda: len(children_of(process)) == PROCESSES)
            children = children_of(process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PROCESS_SECONDS_MAX) == Exit.DONE
            assert process.stdout is not None
            assert not process.stdout.read()
    assert not any(Path(f"/proc/{number}").exists() for number in children)
