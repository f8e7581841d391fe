"""Fixtures that every test may ask for, and how Hypothesis searches.

Here live the real servers and what is fresh on them for one test. Builders of domain values belong
beside the tests that share them.
"""

import os
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.servers import (
    ServerUrls,
    migrated_template,
    new_database,
    remove_keys,
    servers_under_test,
)

# No deadlines anywhere: examples run on real servers and shared cores, where one slow example says
# nothing. At a desk every run searches anew and failures are remembered. In CI the same commit
# gives the same verdict, so the examples follow from the test itself; a new failure there would
# blame the wrong change. `pytest --hypothesis-profile=thorough` searches long.
settings.register_profile("exploring", deadline=None, print_blob=True)
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile("repeatable" if os.environ.get("CI") else "exploring")


@pytest.fixture(scope="session")
def server_urls() -> Iterator[ServerUrls]:
    """Real servers; where private, each xdist worker has its own."""
    with servers_under_test() as urls:
        yield urls


@pytest.fixture(scope="session")
def postgres_url(server_urls: ServerUrls) -> str:
    """A PostgreSQL whose role may create databases, as an SQLAlchemy URL."""
    return server_urls.postgres


@pytest.fixture(scope="session")
def redis_url(server_urls: ServerUrls) -> str:
    """A Redis; keep to the keys of `redis_namespace`, as others may be using it."""
    return server_urls.redis


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> Iterator[str]:
    """A migrated database to copy from, migrated once a session; nobody can connect to it."""
    with migrated_template(postgres_url) as url:
        yield url


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A migrated database without rows, of this test alone."""
    with new_database(postgres_url, template_url=template_database) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """A database with nothing in it, of this test alone: for tests of the migrations."""
    with new_database(postgres_url) as url:
        yield url


@pytest.fixture
def redis_namespace(redis_url: str) -> Iterator[str]:
    """A prefix for the keys of this test alone, which are removed afterwards."""
    prefix = f"maywe-test-{uuid.uuid4().hex}:"
    yield prefix
    remove_keys(redis_url, prefix)
