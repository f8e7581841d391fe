"""Fixtures of the schedules."""

from collections.abc import Iterator

import pytest

from tests.schedules.ground import Ground, solid_ground


@pytest.fixture(scope="session")
def ground(postgres_url: str, template_database: str, redis_url: str) -> Iterator[Ground]:
    """Stores that worlds use one after the other."""
    with solid_ground(postgres_url, template_database, redis_url) as found:
        yield found
