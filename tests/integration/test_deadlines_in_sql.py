"""Deadlines of calls reach PostgreSQL: nothing is worked out there for which nobody waits."""

import time
from collections.abc import Iterator
from typing import Any, Final

import grpc
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from tests.access import request_class
from tests.integration.service_builders import purchase
from tests.running import RunningMaywe, running_maywe

pytestmark = pytest.mark.integration

SECONDS_MAX: Final = 30.0
"""A bound against hanging, half of what PostgreSQL would take; not a performance claim."""

_WAITING: Final = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def maywe(
    database_url: str,
    redis_url: str,
    redis_namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RunningMaywe]:
    """A server that would wait for locks for as long as PostgreSQL lets it."""
    monkeypatch.setattr("store.database.LOCK_WAIT_SECONDS_MAX", 2 * SECONDS_MAX)
    with running_maywe(database_url, redis_url, redis_namespace) as running:
        yield running


@pytest.fixture
def other(database_url: str) -> Iterator[Engine]:
    """Connections of somebody else to the same database."""
    engine = create_engine(database_url, poolclass=NullPool)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("ConsentService/ListEvents", {"customer_id": "anna"}),
        ("ConsentService/GetConsentCard", {"customer_id": "anna"}),
    ],
)
def test_a_statement_ends_when_its_caller_waits_no_longer(
    maywe: RunningMaywe, other: Engine, method: str, fields: dict[str, str]
) -> None:
    """Although PostgreSQL would let it go on; connections are free for others then."""
    path = f"/maywe.v1.{method}"
    request = request_class(path)(**fields)
    with (
        other.connect() as holding,
        other.connect().execution_options(isolation_level="AUTOCOMMIT") as looking,
        grpc.insecure_channel(maywe.address) as channel,
    ):
        maywe.client.writer.RecordPurchase(purchase("anna"))
        # What is done in the background asks for nobody's events.
        holding.execute(text("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
        call: Any = channel.unary_unary(
            path, request_serializer=request_class(path).SerializeToString
        )
        answer = call.future(request, timeout=2)
        while not looking.scalar(_WAITING):
            assert not answer.done()
        assert answer.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        ends_at = time.monotonic() + SECONDS_MAX
        while looking.scalar(_WAITING):
            assert time.monotonic() < ends_at
            time.sleep(0.02)
