"""`maywe cache`: filling Redis and comparing it with PostgreSQL."""

from pathlib import Path

import pytest

from tests.integration.command_line import one_line, run
from tests.integration.service_builders import catalog, consent
from tests.running import running_maywe

pytestmark = pytest.mark.integration


def test_an_emptied_redis_is_filled_and_found_equal(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """After `warm` every customer is in a Redis that held none, and `verify` finds them equal."""
    with running_maywe(database_url, redis_url, f"{redis_namespace}old") as maywe:
        maywe.publish(catalog())
        for customer_id in ("ivan", "olga"):
            maywe.client.writer.RecordConsent(consent(customer_id))
    stores = (
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
    )
    assert run("cache", "warm", *stores).out == "2 customers are in Redis\n"
    verified = run("cache", "verify", *stores, "--json")
    assert verified.status == 0
    assert verified.json == {
        "checkedCount": 2,
        "equalCount": 2,
        "missingCount": 0,
        "differentCount": 0,
        "sample": [],
    }


def test_stores_out_of_reach_are_told_in_one_line(tmp_path: Path) -> None:
    """Where no PostgreSQL listens the command ends with status 2."""
    finished = run(
        *("cache", "warm", f"--postgres-url=postgresql://nobody@/x?host={tmp_path}"),
        f"--redis-url=unix://{tmp_path}/redis.sock",
    )
    assert finished.status == 2
    assert "Traceback" not in one_line(finished)
