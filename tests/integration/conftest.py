"""Fixtures of integration tests: a whole system that answers gRPC."""

from collections.abc import Iterator

import pytest

from tests.running import RunningMaywe, running_maywe


@pytest.fixture
def maywe(database_url: str, redis_url: str, redis_namespace: str) -> Iterator[RunningMaywe]:
    """A system of all roles in this process, on stores of this test alone."""
    with running_maywe(database_url, redis_url, redis_namespace) as running:
        yield running
