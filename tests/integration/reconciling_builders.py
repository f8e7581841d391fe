"""A reconciler on real stores, and the means to spoil what it is to find.

What lives here: what the tests of the reconciler share. What is spoilt, and what must come of it,
is each test's.
"""

import random
import struct
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from sqlalchemy import text

from decision.reasons import Reason
from store.cache import Cache
from store.database import reading
from store.feed import ChangeFeed, FeedChange
from store.floors import Narrowing
from store.projector import Projector
from store.reader import PermissionReader
from store.reconciling import DifferenceKind, Reconciler
from store.record.layout import FLAGS_END
from store.sharding import shard_of
from store.warming import warm
from tests.integration.ledger_builders import Ledger, ids_of_shard, leased, reason_for

SHARD: Final = 5
ANNA, BORIS, VERA, STRANGER = ids_of_shard(SHARD, 4)
ELSEWHERE: Final = ids_of_shard(9, 1)[0]

_HEADER_BYTES: Final = 24
_LIFE: Final = struct.Struct("<II")
_LIFE_AT: Final = 4
_VERSION: Final = struct.Struct("<Q")
_VERSION_AT: Final = 12


@dataclass
class Reconciling:
    """A reconciler, what it told, and the means to spoil what it is to find.

    `allowing` is the record that Anna had before she revoked.
    """

    ledger: Ledger
    cache: Cache
    client: redis.Redis
    namespace: str
    reconciler: Reconciler
    allowing: bytes = b""
    told: list[Narrowing] = field(default_factory=list)

    @property
    def found(self) -> dict[DifferenceKind, int]:
        """The differences counted so far."""
        return dict(self.reconciler.counts.differences)

    def record(self, customer_id: str) -> bytes:
        """What Redis holds for a customer."""
        found = self.client.get(self._key(customer_id))
        assert isinstance(found, bytes)
        return found

    def spoil(self, customer_id: str, record: bytes) -> None:
        """Put other bytes into Redis, as nobody but a defect would."""
        self.client.set(self._key(customer_id), record)

    def lose(self, customer_id: str) -> None:
        """Remove a record from Redis, as a Redis that evicts would."""
        self.client.delete(self._key(customer_id))

    def meta(self) -> list[int]:
        """The numbers of the shard's meta."""
        found = self.client.get(self._meta_key)
        assert isinstance(found, bytes)
        return [int(number) for number in found.split()]

    def spoil_meta(self, meta: bytes) -> None:
        """Put another meta into Redis."""
        self.client.set(self._meta_key, meta)

    def execute(self, statement: str, **values: Any) -> None:
        """Spoil PostgreSQL: one statement that changes something."""
        with self.ledger.engine.begin() as connection:
            assert connection.execute(text(statement), values).rowcount > 0

    def scalar(self, statement: str, **values: Any) -> Any:
        """Read a value from PostgreSQL."""
        with reading(self.ledger.engine) as connection:
            return connection.execute(text(statement), values).scalar_one()

    def subject(self, customer_id: str) -> int:
        """The surrogate subject of a customer."""
        found: int = self.scalar(
            "SELECT subject FROM customer WHERE customer_id = :id", id=customer_id
        )
        return found

    def go_round(self, reconciler: Reconciler | None = None) -> None:
        """Let the reconciler meet everybody once, and a few twice."""
        going = reconciler or self.reconciler
        rounds = going.counts.rounds
        while going.counts.rounds == rounds:
            going.step()

    def reason(self, customer_id: str) -> Reason:
        """What a check answers, from wherever."""
        reader = PermissionReader(self.ledger.engine, self.cache, self.ledger.catalogs, leased())
        return reason_for(reader.read([customer_id])[0])

    def changes(self) -> list[FeedChange]:
        """Everything that watchers were ever told."""
        feed = ChangeFeed(self.ledger.engine, self.ledger.catalogs)
        position = feed.begin(from_oldest=True)
        changes: list[FeedChange] = []
        while True:
            pages, read_to = feed.read(position)
            changes += [change for page in pages for change in page.changes]
            if read_to == position:
                return changes
            position = read_to

    def _key(self, customer_id: str) -> str:
        return f"{self.namespace}:{{s{SHARD}}}:c:{customer_id}"

    @property
    def _meta_key(self) -> str:
        return f"{self.namespace}:{{s{SHARD}}}:meta"


class _OccupiedShards(random.Random):
    """Draws the shards in which somebody is, as the others only take time."""

    def sample(self, *_: Any, **__: Any) -> list[Any]:
        """Give those shards, whatever is asked."""
        return [SHARD, shard_of(ELSEWHERE)]


def make_reconciler(ledger: Ledger, cache: Cache, told: list[Narrowing]) -> Reconciler:
    """A reconciler that looks only where somebody is."""
    return Reconciler(
        ledger.engine, cache, ledger.catalogs, lambda _: None, told.append, draw=_OccupiedShards()
    )


def opened_reconciling(
    ledger: Ledger, cache: Cache, client: redis.Redis, namespace: str
) -> Reconciling:
    """A warm cache of Anna, who has revoked, of Boris and Vera, who are one, and of one more."""
    for customer_id in (ANNA, BORIS, VERA, ELSEWHERE):
        ledger.consent(customer_id)
    ledger.merge(VERA, BORIS)
    warm(ledger.engine, cache)
    told: list[Narrowing] = []
    opened = Reconciling(
        ledger, cache, client, namespace, make_reconciler(ledger, cache, told), told=told
    )
    opened.allowing = opened.record(ANNA)
    ledger.revoke(ANNA)
    Projector(ledger.engine, cache).project_pending()
    return opened


def body_of(record: bytes, header_of: bytes) -> bytes:
    """One record's body under another one's header."""
    # Format and flags say how the body is written.
    return record[:FLAGS_END] + header_of[FLAGS_END:_HEADER_BYTES] + record[_HEADER_BYTES:]


def with_version(record: bytes, version: int) -> bytes:
    """A record that claims another version."""
    return _replaced(record, _VERSION_AT, _VERSION.pack(version))


def with_life(record: bytes, epoch: int, incarnation: int) -> bytes:
    """A record that claims another life of the cache."""
    return _replaced(record, _LIFE_AT, _LIFE.pack(epoch, incarnation))


def _replaced(record: bytes, at: int, part: bytes) -> bytes:
    return record[:at] + part + record[at + len(part) :]
