"""The reconciler beside writers, roll-outs, lapses, projectors and losses: no false alarm."""

import itertools
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import pytest

from decision.errors import UnavailableError
from decision.events import Body, Consent, Merge, NewEvent, Revocation, Source, Split, Void
from decision.selectors import EVERYTHING
from store.cache import Cache
from store.clocks import wall_clock
from store.lapses import LapseWorker
from store.projector import Projector
from store.reader import PermissionReader
from store.reconciling import Reconciler
from store.rewarming import Rewarmer
from store.warming import verify, warm
from tests.integration.ledger_builders import (
    LONG_AGO,
    Ledger,
    document,
    ids_of_shard,
    leased,
    opened_ledger,
)
from tests.integration.reconciling_builders import SHARD, make_reconciler
from tests.servers import remove_keys

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROUNDS: Final = 25
"""How often each reconciler meets everybody while the others are at it."""

CUSTOMERS: Final = [*ids_of_shard(SHARD, 6), *ids_of_shard(9, 6)]
"""Few, so that the reconcilers meet those who are being written."""

TERM_MICROSECONDS_MAX: Final = 300_000
"""Consents end so soon that some lapse meanwhile."""

CHANNELS: Final = (("phone",), ("phone", "sms"), ("sms",))
WORKERS_MAX: Final = 12


class Bustle:
    """Everything that may happen to customers, each in a thread of its own and without pause."""

    def __init__(self, ledger: Ledger, cache: Cache, lose_redis: Callable[[], None]) -> None:
        """Work on a ledger and a cache; `lose_redis` empties the cache."""
        self._ledger = ledger
        self._lose_redis = lose_redis
        self._numbers = itertools.count()
        self._event_ids: list[str] = []
        self._stop = threading.Event()
        engine, catalogs = ledger.engine, ledger.catalogs
        projectors = [Projector(engine, cache) for _ in range(2)]
        lapses = LapseWorker(engine, catalogs, lambda _: None)
        reader = PermissionReader(engine, cache, catalogs, leased())
        rewarmer = Rewarmer(engine, cache)
        self._works: list[Callable[[random.Random], object]] = [
            self._write,
            self._write,
            self._publish,
            lambda _: ledger.roll_out_worker.step(),
            lambda _: lapses.step(),
            *(lambda _, one=one: one.project_pending() for one in projectors),
            lambda draw: reader.read([draw.choice(CUSTOMERS)]),
            lambda _: rewarmer.run_pending(self._stop),
            self._lose,
        ]

    def while_going_on(self, works: list[Callable[[], None]]) -> None:
        """Run works to their end in threads while everything goes on."""
        with ThreadPoolExecutor(WORKERS_MAX) as pool:
            bustling = [
                pool.submit(self._keep_at, work, random.Random(seed))
                for seed, work in enumerate(self._works)
            ]
            try:
                for done in [pool.submit(work) for work in works]:
                    done.result()
            finally:
                self._stop.set()
            for one in bustling:
                one.result()

    def _keep_at(self, work: Callable[[random.Random], object], draw: random.Random) -> None:
        while not self._stop.is_set():
            try:
                work(draw)
            except UnavailableError:
                # It met others too often, or Redis was just lost.
                continue

    def _write(self, draw: random.Random) -> None:
        event_id, customer_id = f"written-{next(self._numbers)}", draw.choice(CUSTOMERS)
        body = self._body(draw, customer_id)
        self._ledger.recorder.record([NewEvent(event_id, customer_id, body, Source("test"))])
        self._event_ids.append(event_id)

    def _body(self, draw: random.Random, customer_id: str) -> Body:
        now = wall_clock()
        bodies: list[Callable[[], Body]] = [
            lambda: Consent(LONG_AGO, "calls", "granted"),
            lambda: Consent(
                now, "calls", "granted", expires_at=now + draw.randrange(TERM_MICROSECONDS_MAX) + 1
            ),
            lambda: Revocation(now, EVERYTHING),
            lambda: Merge(customer_id, draw.choice(CUSTOMERS)),
            lambda: Split(customer_id),
            lambda: Void(draw.choice(self._event_ids or ["event-1"]), "by mistake"),
        ]
        return draw.choice(bodies)()

    def _publish(self, draw: random.Random) -> None:
        self._ledger.publish(document(channels=draw.choice(CHANNELS)), rolled_out=False)
        self._stop.wait(draw.random())

    def _lose(self, draw: random.Random) -> None:
        self._stop.wait(2 * draw.random())
        self._lose_redis()


def test_nothing_is_counted_while_everybody_is_at_work(
    database_url: str, cache: Cache, redis_url: str, redis_namespace: str
) -> None:
    """Whatever is compared in the middle of whatever: what merely changes is no difference."""
    with opened_ledger(database_url) as ledger:
        for customer_id in CUSTOMERS:
            ledger.consent(customer_id)
        warm(ledger.engine, cache)
        reconcilers = [make_reconciler(ledger, cache, []) for _ in range(2)]

        def go_round(reconciler: Reconciler) -> None:
            while reconciler.counts.rounds < ROUNDS:
                reconciler.step()

        Bustle(ledger, cache, lambda: remove_keys(redis_url, redis_namespace)).while_going_on(
            [partial(go_round, one) for one in reconcilers]
        )
        for reconciler in reconcilers:
            assert reconciler.counts.differences == {}, reconciler.counts.summary()
            assert reconciler.counts.failures == 0
            assert reconciler.counts.customers_compared >= ROUNDS * len(CUSTOMERS)
        assert verify(ledger.engine, cache).different == 0
