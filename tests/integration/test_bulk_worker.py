"""What a worker does with a piece whose commit is done and what comes after it fails."""

import threading
from collections.abc import Collection
from uuid import uuid4

import pytest
from maywe.v1 import event_pb2, writer_pb2
from sqlalchemy import insert, select

from service.bulk import BulkWorker
from service.import_pieces import IMPORT_KIND, cut, decode
from store.cache import Cache
from store.direct import DirectProjector
from store.projector import Projector
from store.schema import work_piece
from store.sharding import shard_of
from tests.integration.ledger_builders import Ledger
from tests.integration.service_builders import purchase

pytestmark = pytest.mark.integration


def stage(ledger: Ledger, *event_ids: str) -> None:
    """Stage a piece of purchases, without anybody who waits for it."""
    items = [
        writer_pb2.ImportItem(
            position=position,
            event=event_pb2.Event(purchase=purchase(f"customer of {event_id}", event_id=event_id)),
        )
        for position, event_id in enumerate(event_ids, start=1)
    ]
    [payload] = cut(items).pieces.left.values()
    with ledger.engine.begin() as connection:
        connection.execute(
            insert(work_piece).values(
                kind=IMPORT_KIND, owner="history", claim=uuid4(), payload=payload, staged_at=0
            )
        )


def test_a_committed_outcome_stays_when_projecting_fails(
    ledger: Ledger, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    """The events are in the ledger and are answered so; the failure is the log's."""
    stop = threading.Event()
    left: list[int] = []

    def fail(numbers: Collection[int]) -> None:
        left.extend(numbers)
        stop.set()
        message = "one bad shard"
        raise KeyError(message)

    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    # What the piece appends after this does not follow in Redis, which does not know of it yet.
    ledger.consent("customer of e1")
    stage(ledger, "e1", "e2")
    BulkWorker(ledger.engine, ledger.catalogs, DirectProjector(cache, fail)).run(stop)
    with ledger.engine.connect() as connection:
        [outcome] = connection.scalars(select(work_piece.c.outcome)).all()
    assert outcome is not None
    assert decode(bytes(outcome)).accepted == 2
    assert left == [shard_of("customer of e1")]
    assert "one bad shard" in caplog.text
    assert "can not be done" not in caplog.text
    projector.project_pending(left)
    assert cache.read(["customer of e1"])[0].record is not None
