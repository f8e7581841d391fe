"""Servers and customers to measure with: as many customers as wanted, recorded in bulk.

What lives here: private servers without rows, a small catalog, and the consents of made-up
customers, written through the store as an import would write them.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Engine

from decision.events import Consent, NewEvent, Source
from decision.instants import parse_instant
from service.embedded import (
    EmbeddedOptions,
    EmbeddedServers,
    embedded_servers,
    temporary_data_directory,
)
from store import migrations
from store.database import open_engine
from store.publications import Catalogs
from store.publishing import NewPublication, publish
from store.recording import Recorder

EVENTS_PER_TRANSACTION: Final = 500
OBTAINED_AT: Final = parse_instant("2024-01-01T00:00:00Z")

CATALOG: Final[dict[str, Any]] = {
    "zone": "Europe/Moscow",
    "purposes": [{"code": "advertising", "name": "advertising"}],
    "channels": [{"code": code, "name": code} for code in ("phone", "sms", "email")],
    "partners": [],
    "datasets": [],
    "consent_types": [{"code": "advertising", "name": "advertising"}],
    "wordings": [
        {
            "consent_type": "advertising",
            "version": 1,
            "text": "You may send me advertising.",
            "in_force_from": "2010-01-01T00:00:00Z",
            "term": "indefinite",
            "grants": [{"purpose": "advertising", "channels": ["phone", "sms", "email"]}],
        }
    ],
    "matrix": [],
    "acquisition_rules": [],
}


def customer_id(number: int) -> str:
    """Give the id of a customer, as long as a UUID's text."""
    return f"customer-{number:027}"


@contextmanager
def migrated_servers(*, is_durable: bool) -> Iterator[tuple[EmbeddedServers, Engine]]:
    """Start servers of their own, migrated, and give them with connections to their PostgreSQL."""
    with (
        temporary_data_directory() as directory,
        embedded_servers(EmbeddedOptions(data_directory=directory, durable=is_durable)) as servers,
    ):
        engine = open_engine(servers.postgresql.url)
        try:
            migrations.upgrade(engine)
            yield servers, engine
        finally:
            engine.dispose()


def fill(engine: Engine, content: dict[str, Any], customers: int) -> None:
    """Publish a catalog and let so many customers consent to advertising."""
    catalogs = Catalogs(engine)
    publish(engine, catalogs, NewPublication("first", json.dumps(content), content, "loadtest", ""))
    recorder = Recorder(engine, catalogs, lambda _: None)
    for start in range(0, customers, EVENTS_PER_TRANSACTION):
        recorder.record(
            [
                NewEvent(
                    f"event-{number}",
                    customer_id(number),
                    Consent(OBTAINED_AT, "advertising", "granted"),
                    Source("loadtest"),
                )
                for number in range(start, min(start + EVENTS_PER_TRANSACTION, customers))
            ]
        )
