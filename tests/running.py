"""Running maywe for tests: an application and its server in this process, on a free port.

Here lives what a test needs to talk to a whole system through gRPC: on stores of its own, and with
the waiting that a test would otherwise do by sleeping.
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from maywe.v1 import catalog_pb2
from sqlalchemy import select

from service.application import ALL_ROLES, Application, Role
from service.client import Client, open_client
from service.client.channel import NO_CREDENTIALS
from service.client.credentials import ClientCredentials
from service.composition import open_application
from service.server import running_server
from service.settings import Settings, read_settings
from store.database import reading
from store.schema import shard
from tests.servers import ServerUrls, new_database, remove_keys

EFFECTIVE_SECONDS_MAX: Final = 60.0
"""A bound against hanging, far above what a roll-out needs; not a performance claim."""

PROJECTED_SECONDS_MAX: Final = 60.0
EFFECTIVE_POLL_SECONDS: Final = 0.01
CALL_TIMEOUT_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class RunningMaywe:
    """A whole system: the application in this process, and a client of its server."""

    application: Application
    client: Client
    address: str
    metrics_address: str = ""

    def publish(
        self,
        document: Mapping[str, Any] | str,
        publication_id: str = "",
        publisher: str = "lawyer",
    ) -> int:
        """Publish a catalog, wait until it is effective, and give its number."""
        response = self.client.catalog.Publish(
            catalog_pb2.PublishRequest(
                publication_id=publication_id or uuid.uuid4().hex,
                document=document if isinstance(document, str) else json.dumps(document),
                publisher=publisher,
            )
        )
        self.wait_until_effective(response.number)
        return response.number

    def wait_until_projected(self) -> None:
        """Wait until the cache shows everything that is recorded by now."""
        with reading(self.application.engine) as connection:
            rows = connection.execute(select(shard.c.number, shard.c.seq))
            positions = {row.number: row.seq for row in rows}
        if not self.application.projector.wait_until_applied(positions, PROJECTED_SECONDS_MAX):
            message = "the cache does not come to show what is recorded"
            raise TimeoutError(message)

    def wait_until_effective(self, number: int) -> None:
        """Wait until a publication is effective, or taken over by a newer one."""
        deadline = time.monotonic() + EFFECTIVE_SECONDS_MAX
        request = catalog_pb2.GetPublicationRequest(number=number)
        while True:
            rollout = self.client.catalog.GetPublication(request).rollout
            if rollout.state in _SETTLED:
                return
            if time.monotonic() > deadline:
                message = f"publication {number} does not take effect: {rollout}"
                raise TimeoutError(message)
            time.sleep(EFFECTIVE_POLL_SECONDS)


_SETTLED: Final = frozenset(
    {catalog_pb2.ROLLOUT_STATE_EFFECTIVE, catalog_pb2.ROLLOUT_STATE_SUPERSEDED}
)


def settings_for(
    database_url: str, redis_url: str, redis_namespace: str, **others: str
) -> Settings:
    """Settings for stores that run already; the environment says nothing in tests."""
    flags = {
        "postgres_url": database_url,
        "redis_url": redis_url,
        "redis_namespace": redis_namespace,
        "listen": "127.0.0.1:0",
        "shutdown_drain_seconds": "0",
        "shutdown_grace_seconds": str(GRACE_SECONDS),
        # Tests that spoil something want to meet it themselves.
        "reconciled_per_second": "0",
        # Eight tables for each test, of which hardly any has a use.
        "journal_days": "0",
        # One process does everything, unless a test is about others.
        "bulk_processes": "0",
        # Unless a test is about metrics.
        "metrics_listen": "off",
        # Not used with servers that run already; the default would look at who we are.
        "data_directory": str(Path("unused")),
        **others,
    }
    return read_settings(flags, {})


@contextmanager
def running_maywe(
    database_url: str,
    redis_url: str,
    redis_namespace: str,
    roles: frozenset[Role] = ALL_ROLES,
    listen: str = "127.0.0.1:0",
    *,
    is_port_shared: bool = False,
    credentials: ClientCredentials = NO_CREDENTIALS,
    **others: str,
) -> Iterator[RunningMaywe]:
    """Serve a migrated database and a namespace of Redis, and give a client."""
    settings = settings_for(
        database_url,
        redis_url,
        redis_namespace,
        listen=listen,
        is_port_shared=str(is_port_shared).lower(),
        **others,
    )
    with (
        open_application(settings, roles) as application,
        running_server(application, settings.listen) as server,
        open_client(server.address, server.address, CALL_TIMEOUT_SECONDS, credentials) as client,
    ):
        yield RunningMaywe(application, client, server.address, server.metrics_address)


@contextmanager
def fresh_maywe(urls: ServerUrls, template_database: str) -> Iterator[RunningMaywe]:
    """Serve a copy of a migrated database without rows, and remove all of it afterwards."""
    namespace = f"maywe-test-{uuid.uuid4().hex}"
    with new_database(urls.postgres, template_url=template_database) as database_url:
        try:
            with running_maywe(database_url, urls.redis, namespace) as maywe:
                yield maywe
        finally:
            remove_keys(urls.redis, f"{namespace}:")
