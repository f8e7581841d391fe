"""Stores of the examples' servers, and how they are taken away for a while."""

import json

from maywe.v1 import catalog_pb2
from sqlalchemy import create_engine, make_url, text

from tests.integration.service_builders import catalog
from tests.servers import close_to_connections


def publication() -> catalog_pb2.PublishRequest:
    """Publish a catalog, where no roll-out can be waited for."""
    return catalog_pb2.PublishRequest(
        publication_id="p1", document=json.dumps(catalog()), publisher="lawyer"
    )


def take_away(postgres_url: str, database_url: str) -> None:
    """Let nobody connect to a database, and end the connections that there are."""
    close_to_connections(postgres_url, database_url)
    _execute(
        postgres_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name",
        {"name": make_url(database_url).database},
    )


def give_back(postgres_url: str, database_url: str) -> None:
    """Let connections to a database be made again."""
    database = make_url(database_url).database
    _execute(postgres_url, f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')


def _execute(
    postgres_url: str, statement: str, parameters: dict[str, str | None] | None = None
) -> None:
    server = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(statement), parameters or {})
    server.dispose()
