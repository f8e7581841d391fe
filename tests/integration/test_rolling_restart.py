"""A rolling restart of decision servers under load, as a client with our service config sees it."""

import signal
import socket
import threading
from contextlib import ExitStack
from typing import Final, Self

import grpc
import pytest
from maywe.v1 import common_pb2, decision_pb2, decision_pb2_grpc

from service.client.channel import channel_options
from tests.integration.ledger_builders import Ledger
from tests.integration.test_serving import PROCESS_SECONDS_MAX, serving_process

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CALL_SECONDS: Final = 10.0
CALLERS: Final = 4
CHECKS_BETWEEN_MIN: Final = 100
"""Checks that have to be answered between two steps, so that each step is under load."""


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Load:
    """Callers who ask one after the other and note what fails."""

    def __init__(self, addresses: list[str]) -> None:
        """Ask the servers at these addresses in turn."""
        self._channel = grpc.insecure_channel(
            "ipv4:" + ",".join(addresses), options=channel_options()
        )
        self._stub = decision_pb2_grpc.DecisionServiceStub(self._channel)
        self._stop = threading.Event()
        self._answered = threading.Semaphore(0)
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(CALLERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._channel.close()

    def wait_for_answers(self) -> None:
        """Wait until so many more checks were answered."""
        while self._answered.acquire(blocking=False):
            pass
        for _ in range(CHECKS_BETWEEN_MIN):
            assert self._answered.acquire(timeout=PROCESS_SECONDS_MAX), self.failures

    def _ask(self) -> None:
        request = decision_pb2.MayContactRequest(
            customer_id="anna", channel="phone", purpose="advertising"
        )
        while not self._stop.is_set():
            try:
                verdict = self._stub.MayContact(request, timeout=CALL_SECONDS).verdict
            except grpc.RpcError as error:
                self.failures.append(str(error))
                return
            if verdict != common_pb2.VERDICT_ALLOW:
                self.failures.append(f"answered {verdict}")
            self._answered.release()


def test_a_rolling_restart_loses_no_call(
    ledger: Ledger, database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """Each server in turn is ended in order and started again; every check is answered."""
    ledger.consent("anna")
    stores = [
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
    ]
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with ExitStack() as stack:
        stack.enter_context(serving_process("worker", *stores))
        first, second = (
            stack.enter_context(serving_process("decision", *stores, f"--listen={address}"))[0]
            for address in addresses
        )
        with Load(addresses) as load:
            load.wait_for_answers()
            for process, address in zip((first, second), addresses, strict=True):
                process.send_signal(signal.SIGTERM)
                assert process.wait(PROCESS_SECONDS_MAX) == 0
                load.wait_for_answers()
                stack.enter_context(serving_process("decision", *stores, f"--listen={address}"))
                load.wait_for_answers()
    assert load.failures == []
