"""`maywe serve worker`: what it serves, what it does, and that it may die at any time."""

import signal
from typing import Any, Final

import grpc
import pytest
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc
from maywe.v1 import consent_pb2, consent_pb2_grpc, decision_pb2, decision_pb2_grpc
from sqlalchemy import text

from decision.events import Consent, NewEvent, Source
from decision.reasons import Reason
from store.cache import Cache
from store.clocks import wall_clock
from store.database import reading
from store.reconciling import DifferenceKind, Reconciler
from store.warming import verify, warm
from tests.integration.ledger_builders import LONG_AGO, Ledger, cached_reason
from tests.integration.reconciling_builders import ANNA, body_of, opened_reconciling
from tests.integration.test_serving import PROCESS_SECONDS_MAX, serving_process
from tests.waiting import until

pytestmark = pytest.mark.integration

CUSTOMERS: Final = 300
KILLS: Final = 3
RATE: Final = "--reconciled-per-second=10000"


@pytest.fixture
def stores(database_url: str, redis_url: str, redis_namespace: str) -> list[str]:
    """The options that name the stores of this test."""
    return [
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
    ]


def test_a_worker_serves_health_and_nothing_else(stores: list[str]) -> None:
    """Whoever looks after processes can ask it; clients can not."""
    with (
        serving_process("worker", *stores) as (process, address),
        grpc.insecure_channel(address) as channel,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        status = health.Check(health_pb2.HealthCheckRequest()).status
        assert status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            consent_pb2_grpc.ConsentServiceStub(channel).GetConsentCard(
                consent_pb2.GetConsentCardRequest(customer_id="ivan")
            )
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            decision_pb2_grpc.DecisionServiceStub(channel).MayContact(
                decision_pb2.MayContactRequest(customer_id="ivan")
            )
        process.send_signal(signal.SIGTERM)
        assert process.wait(PROCESS_SECONDS_MAX) == 0


def test_a_worker_projects_rolls_out_and_reconciles(
    stores: list[str],
    ledger: Ledger,
    cache: Cache,
    client: redis.Redis,
    redis_namespace: str,
) -> None:
    """What writers leave to be done it does, and a spoilt record it repairs by itself."""
    reconciling = opened_reconciling(ledger, cache, client, redis_namespace)
    spoilt = body_of(reconciling.allowing, reconciling.record(ANNA))
    reconciling.spoil(ANNA, spoilt)
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
    with serving_process("worker", *stores, RATE):
        until(lambda: cached_reason(ledger, cache, ANNA) is Reason.CONSENT_REVOKED)
        ledger.record(ANNA, Consent(wall_clock(), "calls", "granted"))
        until(lambda: cached_reason(ledger, cache, ANNA) is Reason.ALLOWED)


@pytest.mark.slow
def test_a_worker_that_is_killed_leaves_nothing_half_done(
    stores: list[str], ledger: Ledger, cache: Cache
) -> None:
    """What it has repaired is right and told of once; the rest is found by the next one."""
    ledger.recorder.record(
        [
            NewEvent(
                f"consent-{index}",
                f"customer-{index}",
                Consent(LONG_AGO, "calls", "granted"),
                Source("test"),
            )
            for index in range(CUSTOMERS)
        ]
    )
    warm(ledger.engine, cache)
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE state SET next_change_at = 5000000000000000"))
        connection.execute(text("DELETE FROM permission"))

    def repaired() -> int:
        with reading(ledger.engine) as connection:
            count: int = connection.execute(
                text("SELECT count(*) FROM outbox WHERE cause ? 'correction'")
            ).scalar_one()
            return count

    def has_begun() -> bool:
        return repaired() > min(before, CUSTOMERS - 1)

    for _ in range(KILLS):
        before = repaired()
        with serving_process("worker", *stores, RATE) as (process, _):
            until(has_begun)
            process.kill()
            process.wait(PROCESS_SECONDS_MAX)
    left = CUSTOMERS - repaired()
    last = Reconciler(ledger.engine, cache, ledger.catalogs, lambda _: None, lambda _: None)
    while last.counts.rounds == 0:
        last.step()
    assert last.counts.differences == {
        kind: left for kind in (DifferenceKind.NEXT_CHANGE, DifferenceKind.PERMISSIONS) if left
    }
    assert repaired() == CUSTOMERS
    assert verify(ledger.engine, cache).equal == CUSTOMERS
