"""Builders for tests on the real stores: a catalog, a ledger to record into, and a cache.

What lives here: what several integration tests share, with defaults for all that does not matter to
them. Servers and databases are the fixtures' of conftest.
"""

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine

from decision.answer import answer_scope
from decision.events import Body, Consent, Merge, NewEvent, Revocation, Source, Split
from decision.instants import Instant, parse_instant
from decision.reasons import Reason
from decision.scopes import Scope, contact
from decision.selectors import EVERYTHING
from store.cache import Cache
from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds, wall_clock
from store.database import open_engine
from store.guard import ClockReading, GuardKeeper, Renewal
from store.outcomes import Recorded
from store.publications import Catalogs
from store.publishing import NewPublication, publish
from store.reader import PermissionReader, Permissions
from store.recording import Recorder
from store.rollout import RolloutWorker
from store.sharding import SHARD_COUNT, shard_of

LONG_AGO: Final = parse_instant("2020-01-01T00:00:00Z")
PHONE: Final = contact("advertising", "phone")
SMS: Final = contact("advertising", "sms")


def document(
    *, channels: tuple[str, ...] = ("phone", "sms"), remark: str = "", term: str = "indefinite"
) -> dict[str, Any]:
    """A catalog in which `calls` grants contact by `channels` for advertising, for a term."""
    return {
        "zone": "Europe/Moscow",
        "purposes": [{"code": "advertising", "name": "advertising" + remark}],
        "channels": [{"code": code, "name": code} for code in ("phone", "sms", "email")],
        "partners": [],
        "datasets": [],
        "consent_types": [{"code": "calls", "name": "calls"}],
        "wordings": [
            {
                "consent_type": "calls",
                "version": 1,
                "text": "You may contact me.",
                "in_force_from": "2010-01-01T00:00:00Z",
                "term": term,
                "grants": [{"purpose": "advertising", "channels": list(channels)}],
            }
        ],
        "matrix": [],
        "acquisition_rules": [],
    }


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger and those who write it."""

    engine: Engine
    catalogs: Catalogs
    recorder: Recorder
    roll_out_worker: RolloutWorker
    _numbers: Iterator[int]

    def publish(self, content: dict[str, Any], *, rolled_out: bool = True) -> int:
        """Publish a catalog, bring every state under it, and give its number."""
        recorded = publish(
            self.engine,
            self.catalogs,
            NewPublication(
                f"publication-{next(self._numbers)}", json.dumps(content), content, "test", ""
            ),
        )
        if rolled_out:
            self.roll_out()
        return recorded.number

    def roll_out(self) -> None:
        """Bring every state under the newest publication."""
        self.roll_out_worker.run_pending(threading.Event())

    def record(self, customer_id: str, body: Body) -> Recorded:
        """Record an event under a new id."""
        event = NewEvent(f"event-{next(self._numbers)}", customer_id, body, Source("test"))
        return self.recorder.record_one(event)

    def consent(self, customer_id: str) -> Recorded:
        """Let a customer consent to calls."""
        return self.record(customer_id, Consent(LONG_AGO, "calls", "granted"))

    def revoke(self, customer_id: str) -> Recorded:
        """Let a customer revoke everything, now."""
        return self.record(customer_id, Revocation(wall_clock(), EVERYTHING))

    def merge(self, from_id: str, into_id: str) -> Recorded:
        """Let two customers be one person."""
        return self.record(from_id, Merge(from_id, into_id))

    def split(self, customer_id: str) -> Recorded:
        """Undo a customer's merge."""
        return self.record(customer_id, Split(customer_id))


@contextmanager
def opened_ledger(database_url: str) -> Iterator[Ledger]:
    """Open a ledger with one publication, rolled out."""
    engine = open_engine(database_url)
    try:
        catalogs = Catalogs(engine)
        ledger = Ledger(
            engine,
            catalogs,
            Recorder(engine, catalogs, lambda _: None),
            RolloutWorker(engine, catalogs, lambda _: None),
            itertools.count(1),
        )
        ledger.publish(document())
        yield ledger
    finally:
        engine.dispose()


def leased(
    *,
    seconds: float = 3600.0,
    publication: int = 0,
    clock: Instant | None = None,
    bases: Sequence[int] = (0,) * SHARD_COUNT,
) -> GuardKeeper:
    """The keeper of a process that holds a lease and was told of no narrowing."""
    keeper = GuardKeeper()
    renew(keeper, seconds=seconds, publication=publication, clock=clock, bases=bases)
    return keeper


def renew(
    keeper: GuardKeeper,
    *,
    seconds: float = 3600.0,
    publication: int = 0,
    clock: Instant | None = None,
    bases: Sequence[int] = (0,) * SHARD_COUNT,
) -> None:
    """Give a keeper a lease anew, by a clock that is right if not said otherwise."""
    now = boot_nanoseconds()
    instant = wall_clock() if clock is None else clock
    keeper.renewed(
        Renewal(
            began_after=keeper.begin_reading(),
            epoch=1,
            deadline_nanoseconds=now + int(seconds * NANOSECONDS_PER_SECOND),
            bases=bases,
            customers=(),
            publication=publication,
            narrowed_at=0,
            clock_reading=ClockReading(instant, now, now),
        )
    )


def reason_for(permissions: Permissions, scope: Scope = PHONE, at: int | None = None) -> Reason:
    """The reason of the answer for a scope, now if not said otherwise."""
    return answer_scope(
        permissions.timeline, None, scope, wall_clock() if at is None else at
    ).reason


def ids_of_shard(number: int, count: int) -> list[str]:
    """Customer ids that all belong to one shard."""
    ids = (f"customer-{index}" for index in itertools.count())
    return list(itertools.islice((found for found in ids if shard_of(found) == number), count))


def cached_reason(ledger: Ledger, cache: Cache, customer_id: str) -> Reason:
    """What a check answers from the cache alone."""
    reader = PermissionReader(ledger.engine, cache, ledger.catalogs, leased())
    [found] = reader.read([customer_id])
    assert found.is_from_cache
    return reason_for(found)
