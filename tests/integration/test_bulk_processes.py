"""Imports and roll-outs by worker processes, also when these are killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from maywe.v1 import catalog_pb2, event_pb2, writer_pb2
from sqlalchemy import Engine, text

from service.client import Client, open_client
from store.database import open_engine
from tests.integration import chain_verifier
from tests.integration.service_builders import catalog, purchase
from tests.waiting import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to see children"),
]

MAYWE: Final = Path(sys.executable).with_name("maywe")
PROCESSES: Final = 2
CUSTOMERS: Final = 1200
"""Enough for several pieces."""

SECONDS_MAX: Final = 120.0
"""A bound against hanging; not a performance claim."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A writer process with worker processes of its own."""

    process: "subprocess.Popen[str]"
    client: Client
    engine: Engine

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(number) for task in tasks for number in task.read_text().split()]

    def publish(self, document: object) -> int:
        """Publish a catalog without waiting for its roll-out."""
        request = catalog_pb2.PublishRequest(
            publication_id=f"p{time.monotonic_ns()}",
            document=json.dumps(document),
            publisher="lawyer",
        )
        return self.client.catalog.Publish(request).number

    def roll_out(self, number: int) -> catalog_pb2.Rollout:
        """How far a publication is."""
        request = catalog_pb2.GetPublicationRequest(number=number)
        return self.client.catalog.GetPublication(request).rollout

    def kill_workers_in_the_middle(self) -> None:
        """Kill every worker while it is within a transaction, waiting for a shard."""
        until(lambda: self._count(_WAITING) == PROCESSES)
        for number in self.workers():
            os.kill(number, signal.SIGKILL)

    def scalar(self, statement: str) -> int:
        """Ask the ledger for a number."""
        return self._count(statement)

    def _count(self, statement: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text(statement)).scalar_one())


_WAITING: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM shard%'
"""


@pytest.fixture
def writer(database_url: str, redis_url: str, redis_namespace: str) -> Iterator[Writer]:
    """A writer as an operator starts it, with a catalog published and rolled out."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MAYWE_")
    } | {
        "MAYWE_POSTGRES_URL": database_url,
        "MAYWE_REDIS_URL": redis_url,
        "MAYWE_REDIS_NAMESPACE": redis_namespace,
        "MAYWE_BULK_PROCESSES": str(PROCESSES),
    }
    engine = open_engine(database_url)
    with subprocess.Popen(
        [MAYWE, "serve", "writer", "--listen=127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().removeprefix("listening on ").strip()
            with open_client(address, address, SECONDS_MAX) as client:
                found = Writer(process, client, engine)
                number = found.publish(catalog())
                until(lambda: found.roll_out(number).state == catalog_pb2.ROLLOUT_STATE_EFFECTIVE)
                yield found
                process.send_signal(signal.SIGTERM)
                assert process.wait(SECONDS_MAX) == 0
        finally:
            process.kill()
            engine.dispose()


@contextmanager
def shards_held(engine: Engine) -> Iterator[None]:
    """Hold every shard, so that whoever writes waits in the middle of a transaction."""
    with engine.begin() as connection:
        connection.execute(text("SELECT number FROM shard ORDER BY number FOR UPDATE"))
        yield


def import_of(customers: int) -> Iterator[writer_pb2.ImportEventsRequest]:
    """An import of one purchase for each customer, all in one chunk."""
    yield writer_pb2.ImportEventsRequest(start=writer_pb2.ImportStart(import_id="history"))
    yield writer_pb2.ImportEventsRequest(
        chunk=writer_pb2.ImportChunk(
            items=[
                writer_pb2.ImportItem(
                    position=number,
                    event=event_pb2.Event(
                        purchase=purchase(f"customer-{number}", event_id=f"event-{number}")
                    ),
                )
                for number in range(1, customers + 1)
            ]
        )
    )


def test_killing_the_workers_of_an_import_loses_nothing_and_doubles_nothing(
    writer: Writer,
) -> None:
    """What they were at is taken by those that are started in their place."""
    with shards_held(writer.engine):
        answers = writer.client.writer.ImportEvents(import_of(CUSTOMERS))
        assert next(answers).WhichOneof("part") == "resume"
        killed = writer.workers()
        writer.kill_workers_in_the_middle()
    progress = next(answers).progress
    assert progress.counts.accepted_count == CUSTOMERS
    assert progress.counts.repeated_count == progress.counts.rejected_count == 0
    assert next(answers).WhichOneof("part") == "summary"
    assert writer.scalar("SELECT count(*) FROM event") == CUSTOMERS
    assert writer.scalar("SELECT count(*) FROM state") == CUSTOMERS
    assert writer.scalar("SELECT count(*) FROM work_piece") == 0
    assert chain_verifier.faults(chain_verifier.load(writer.engine)) == []
    until(lambda: len(writer.workers()) == PROCESSES)
    assert not set(killed) & set(writer.workers())


def test_killing_the_workers_of_a_roll_out_leaves_nobody_out(writer: Writer) -> None:
    """Each customer is counted once and brought under the publication."""
    list(writer.client.writer.ImportEvents(import_of(CUSTOMERS)))
    changed = catalog()
    changed["wordings"][0]["term"] = "P1Y"
    with shards_held(writer.engine):
        number = writer.publish(changed)
        writer.kill_workers_in_the_middle()
    until(lambda: writer.roll_out(number).state == catalog_pb2.ROLLOUT_STATE_EFFECTIVE)
    roll_out = writer.roll_out(number)
    assert roll_out.customers_done_count == roll_out.customers_count == CUSTOMERS
    assert roll_out.customers_changed_count == CUSTOMERS
    assert writer.scalar("SELECT count(*) FROM state WHERE publication = 2") == CUSTOMERS
    assert writer.scalar("SELECT count(*) FROM state WHERE version = 2") == CUSTOMERS


def test_a_piece_that_can_not_be_done_is_not_taken_again_and_again(writer: Writer) -> None:
    """Whoever staged it is told, and the worker's log says what is wrong."""
    with writer.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO work_piece (kind, owner, claim, payload, staged_at) "
                "VALUES ('nonsense', 'nobody', gen_random_uuid(), '', 0)"
            )
        )
    until(lambda: bool(writer.scalar("SELECT count(*) FROM work_piece WHERE outcome = ''::bytea")))
