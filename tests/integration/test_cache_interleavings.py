"""Every order of writers, projectors, fills and losses: Redis never shows less than it says.

What is delayed here is what a network or a paused process can delay: a call to Redis is held back
after it was decided upon and arrives later, twice, or never.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Final

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from decision.errors import UnavailableError
from decision.reasons import Reason
from store.cache import NO_WARMING, Batch, Cache, Outcome, WarmingPage, open_client
from store.database import reading
from store.meta import CacheLife, Meta
from store.projector import Projector
from store.reader import PermissionReader
from store.redis_client import RedisClient
from store.schema import customer, shard, state, subject
from store.sharding import shard_of
from store.warming import warm
from tests.integration.ledger_builders import Ledger, leased, reason_for
from tests.servers import raw_client, remove_keys

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CUSTOMERS: Final = 3
"""Few, so that what happens happens to the same ones."""

HELD_BACK_MAX: Final = 6
EXAMPLES_MAX: Final = 20
STEPS_MAX: Final = 30
PASSING_MAX: Final = 3
"""Writes that pass before one is held back; so many means that none is."""


customers = st.integers(0, CUSTOMERS - 1)
held_back = st.integers(0, HELD_BACK_MAX - 1)
passing = st.integers(0, PASSING_MAX)

_namespaces = itertools.count()


class SlowCache(Cache):
    """A cache whose writes are held back after some that pass; who sent them has waited in vain."""

    passing = PASSING_MAX

    def __init__(self, client: RedisClient, namespace: str) -> None:
        """Begin quick."""
        super().__init__(client, namespace)
        self.held_back: list[Callable[[], object]] = []

    def project(self, number: int, batch: Batch) -> Outcome:
        """Hold a batch back, or apply it."""
        return self._sent(lambda: super(SlowCache, self).project(number, batch))

    def begin_incarnation(self, number: int, meta: Meta) -> Outcome:
        """Hold a beginning back, or begin."""
        return self._sent(lambda: super(SlowCache, self).begin_incarnation(number, meta))

    def fill(
        self,
        number: int,
        life: CacheLife,
        records: Mapping[str, bytes],
        page: WarmingPage = NO_WARMING,
        seen_seq: int = 0,
    ) -> Outcome:
        """Hold records back, or put them in."""
        return self._sent(
            lambda: super(SlowCache, self).fill(number, life, records, page, seen_seq)
        )

    def mark_complete(self, number: int, life: CacheLife, session: int, pages: int) -> Outcome:
        """Hold the mark back, or set it."""
        return self._sent(
            lambda: super(SlowCache, self).mark_complete(number, life, session, pages)
        )

    def _sent(self, call: Callable[[], Outcome]) -> Outcome:
        if self.passing == PASSING_MAX:
            return call()
        if self.passing:
            self.passing -= 1
            return call()
        self.held_back = [*self.held_back, call][-HELD_BACK_MAX:]
        message = "Redis does not answer: try again later"
        raise UnavailableError(message)


class CacheInterleavings(RuleBasedStateMachine):
    """Redis against what PostgreSQL said at each position of each shard."""

    ledger: Ledger
    redis_client: RedisClient
    client: redis.Redis
    redis_url: str
    namespace: str

    def __init__(self) -> None:
        """Begin with customers and keys of their own, in shards that are not complete."""
        super().__init__()
        mark = next(_namespaces)
        self.prefix = f"{self.namespace}{mark}"
        first = f"{self.prefix}-0"
        beside_first = (
            found
            for found in (f"{self.prefix}-{index}" for index in itertools.count(2))
            if shard_of(found) == shard_of(first)
        )
        # Two who share a shard and its batches, and one who need not.
        self.ids = [first, f"{self.prefix}-1", next(beside_first)]
        self.shards = sorted({shard_of(customer_id) for customer_id in self.ids})
        self.cache = SlowCache(self.redis_client, self.prefix)
        self.projector = Projector(self.ledger.engine, self.cache, rows_per_batch=2)
        self.versions: dict[str, list[tuple[int, int]]] = {found: [] for found in self.ids}
        self.snapshot: dict[bytes, bytes] = {}
        for customer_id in self.ids:
            self.ledger.consent(customer_id)
        self._note_versions()
        self._project_shards()

    @rule(customer=customers, is_granted=st.booleans())
    def record(self, customer: int, *, is_granted: bool) -> None:
        """Somebody consents or revokes."""
        customer_id = self.ids[customer]
        (self.ledger.consent if is_granted else self.ledger.revoke)(customer_id)
        self._note_versions()

    @rule(which=st.permutations(range(CUSTOMERS)))
    def merge_or_split(self, which: list[int]) -> None:
        """Two become one, or one who was merged is split off."""
        first, second = self.ids[which[0]], self.ids[which[1]]
        with reading(self.ledger.engine) as connection:
            merged = connection.scalar(
                select(subject.c.merged_into)
                .join(customer, customer.c.subject == subject.c.number)
                .where(customer.c.customer_id == first)
            )
            roots = connection.scalars(
                select(subject.c.root)
                .join(customer, customer.c.subject == subject.c.number)
                .where(customer.c.customer_id.in_([first, second]))
            ).all()
        if merged is not None:
            self.ledger.split(first)
        elif len(set(roots)) == len(roots):
            self.ledger.merge(first, second)
        self._note_versions()

    @rule(passing=passing)
    def project(self, passing: int) -> None:
        """One of any number of projectors has its turn; what it sends may be held back."""
        self._sending(passing, self._project_shards)

    @rule(customer=customers, passing=passing)
    def check(self, customer: int, passing: int) -> None:
        """A check misses or not; what it fills in may be held back."""
        reader = PermissionReader(self.ledger.engine, self.cache, self.ledger.catalogs, leased())
        self._sending(passing, lambda: reader.read([self.ids[customer]]))

    @rule(passing=passing)
    def warm(self, passing: int) -> None:
        """Somebody warms the cache."""
        self._sending(passing, lambda: warm(self.ledger.engine, self.cache, self.shards))

    @rule(which=held_back, again=st.booleans())
    def deliver(self, which: int, *, again: bool) -> None:
        """Something that was held back arrives, perhaps not for the last time."""
        if self.cache.held_back:
            place = which % len(self.cache.held_back)
            self.cache.held_back[place]()
            if not again:
                del self.cache.held_back[place]

    @rule()
    def empty_redis(self) -> None:
        """Redis loses everything."""
        remove_keys(self.redis_url, self.prefix + ":")

    @rule()
    def take_snapshot(self) -> None:
        """Redis saves what it holds, or a replica has got this far."""
        keys = list(self.client.scan_iter(match=f"{self.prefix}:*"))
        values = self.client.mget(keys) if keys else []
        self.snapshot = {
            key: value for key, value in zip(keys, values, strict=True) if isinstance(value, bytes)
        }

    @rule()
    def go_back_to_snapshot(self) -> None:
        """Redis is restarted from what it saved, or fails over to a replica that lags."""
        remove_keys(self.redis_url, self.prefix + ":")
        if self.snapshot:
            self.client.mset(self.snapshot)

    @invariant()
    def redis_shows_at_least_what_its_meta_says(self) -> None:
        """A record is as new as the applied seq; one that is missing for sure was not due yet."""
        for customer_id, entry in zip(self.ids, self.cache.read(self.ids), strict=True):
            if entry.meta is None:
                continue
            applied_seq = entry.meta.applied_seq
            known = self.versions[customer_id]
            due = max((version for seq, version in known if seq <= applied_seq), default=0)
            if entry.header is not None:
                assert entry.header.version >= due, (customer_id, entry, self.versions)
            elif entry.meta.is_complete and not entry.has_key:
                assert due == 0, (customer_id, entry, self.versions)

    def teardown(self) -> None:
        """In the end, with nothing held back any more, Redis shows what PostgreSQL does."""
        for call in self.cache.held_back:
            call()
        for _ in range(2):
            self._project_shards()
        reader = PermissionReader(self.ledger.engine, self.cache, self.ledger.catalogs, leased())
        unsure = Cache(self.redis_client, self.prefix + "-without")
        truth = PermissionReader(self.ledger.engine, unsure, self.ledger.catalogs, leased())
        assert self._reasons(reader) == self._reasons(truth)
        remove_keys(self.redis_url, self.prefix + ":")

    def _project_shards(self) -> None:
        for number in self.shards:
            self.projector.project_shard(number)

    def _reasons(self, reader: PermissionReader) -> list[Reason]:
        return [reason_for(found) for found in reader.read(self.ids)]

    def _sending(self, passing: int, work: Callable[[], object]) -> None:
        self.cache.passing = passing
        try:
            work()
        except UnavailableError:
            pass
        finally:
            self.cache.passing = PASSING_MAX

    def _note_versions(self) -> None:
        """Note at which seq of its shard each customer has which version."""
        with reading(self.ledger.engine) as connection:
            rows = connection.execute(
                select(customer.c.customer_id, state.c.version)
                .join(subject, subject.c.number == customer.c.subject)
                .join(state, state.c.subject == subject.c.root)
                .where(customer.c.customer_id.in_(self.ids))
            ).all()
            seqs = {row.number: row.seq for row in connection.execute(select(shard))}
        for row in rows:
            noted = self.versions[row.customer_id]
            if not noted or noted[-1][1] != row.version:
                noted.append((seqs[shard_of(row.customer_id)], row.version))


def test_redis_never_shows_less_than_it_says(
    ledger: Ledger, redis_url: str, redis_namespace: str
) -> None:
    """Whatever is late, lost, repeated or restored, a trusted record is as new as its meta says."""
    with open_client(redis_url) as redis_client, raw_client(redis_url) as client:
        shared = {
            "ledger": ledger,
            "redis_client": redis_client,
            "client": client,
            "redis_url": redis_url,
            "namespace": redis_namespace.rstrip(":"),
        }
        machine = type("OnTheseServers", (CacheInterleavings,), shared)
        run_state_machine_as_test(
            machine, settings=settings(max_examples=EXAMPLES_MAX, stateful_step_count=STEPS_MAX)
        )
