"""Previews that are stopped: neither a shutdown nor an absent caller waits for the rest."""

import json
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from maywe.v1 import catalog_pb2
from sqlalchemy import Connection, text

from decision.errors import ErrorCode, UnavailableError
from store.preview import preview
from tests.integration.ledger_builders import Ledger, document, opened_ledger
from tests.integration.service_builders import catalog, failure, purchase
from tests.running import RunningMaywe

pytestmark = pytest.mark.integration

WAITING_SECONDS_MAX = 60.0
"""A bound against hanging; not a performance claim."""

POLL_SECONDS = 0.01


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger with three persons."""
    with opened_ledger(database_url) as opened:
        for customer_id in ("ann", "bob", "cid"):
            opened.consent(customer_id)
        yield opened


@pytest.fixture(autouse=True)
def _steps_of_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few persons make several steps."""
    monkeypatch.setattr("store.preview.PERSONS_PER_STEP", 1)


def test_a_preview_that_is_not_stopped_looks_at_everybody(ledger: Ledger) -> None:
    """It is asked before each step whether to go on."""
    asked: list[bool] = []

    def should_stop() -> bool:
        asked.append(True)
        return False

    found = preview(ledger.engine, ledger.catalogs, document(channels=("sms",)), 10, should_stop)
    assert (found.person_count, found.total.losing) == (3, 3)
    assert len(asked) == 3


def test_a_preview_is_stopped_between_two_steps(ledger: Ledger) -> None:
    """What was counted so far is not told: it would pass for the whole."""
    answers = iter([False, True])
    with pytest.raises(UnavailableError) as stopped:
        preview(ledger.engine, ledger.catalogs, document(), 10, lambda: next(answers))
    assert stopped.value.code is ErrorCode.SHUTTING_DOWN
    assert next(answers, None) is None


def wait_until_somebody_waits(connection: Connection) -> None:
    """Wait until a call waits for the lock on the events that this connection holds."""
    deadline = time.monotonic() + WAITING_SECONDS_MAX
    waiting = text(
        "SELECT count(*) FROM pg_locks WHERE relation = 'event'::regclass AND NOT granted"
    )
    while not connection.scalar(waiting):
        if time.monotonic() > deadline:
            message = "nobody comes to read events"
            raise TimeoutError(message)
        time.sleep(POLL_SECONDS)


def test_a_running_preview_ends_when_the_server_stops(maywe: RunningMaywe) -> None:
    """Its caller is sent elsewhere, as by a stream."""
    maywe.publish(catalog())
    for customer_id in ("ann", "bob"):
        maywe.client.writer.RecordPurchase(purchase(customer_id))
    request = catalog_pb2.PreviewPublicationRequest(document=json.dumps(catalog()))
    with grpc.insecure_channel(maywe.address) as channel:
        # A channel of its own, without the client's retries.
        send: Any = channel.unary_unary(
            "/maywe.v1.CatalogService/PreviewPublication",
            request_serializer=catalog_pb2.PreviewPublicationRequest.SerializeToString,
        )
        with maywe.application.engine.begin() as connection:
            connection.execute(text("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
            call = send.future(request)
            wait_until_somebody_waits(connection)
            maywe.application.stopping.set()
        with pytest.raises(grpc.RpcError) as ended:
            call.result()
    told = failure(ended.value)
    assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    assert told.has_retry_info
