"""The cache in Redis: one record for each customer id, one meta for each shard.

What lives here: the keys, and every way in which Redis is read and written. A write of records is
one Lua call on one shard, so it is atomic, and every call says to which life of the cache it
belongs (`design.md`, "No stale ALLOW", step 2). Records are replaced, never deleted. No other
module of the store talks to Redis, and the driver's errors do not leave this one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from decision.errors import UnavailableError
from store import record as records_of_store
from store.meta import CacheLife, Meta, decode_meta
from store.record import Header, decode_header
from store.sharding import SHARD_COUNT, shard_of

CONNECT_SECONDS_MAX: Final = 0.5
REPLY_SECONDS_MAX: Final = 1.0
"""How long Redis may take; after that PostgreSQL is asked, so there is no use in patience."""

RETRIES_MAX: Final = 1
"""A connection that broke while it was idle is opened anew at once; a slow reply is not awaited
again."""

KEYS_PER_SCAN: Final = 1000

# Nothing that a pattern of keys or a slot would be read from.
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9._:-]+")


def open_client(url: str) -> redis.Redis:
    """Open a pool of connections to the Redis at `url`, one for each thread that asks at once."""
    return redis.Redis.from_url(
        url,
        protocol=3,
        socket_connect_timeout=CONNECT_SECONDS_MAX,
        socket_timeout=REPLY_SECONDS_MAX,
        retry=Retry(NoBackoff(), RETRIES_MAX, (redis.ConnectionError,)),
        # Announcements of a managed service's maintenance: servers of our own make none.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )


class CachedEntry(NamedTuple):
    """What Redis holds for a customer id: the shard's meta and the record, read at one instant.

    A record that is missing, damaged or of another life than the meta is absent, its header too;
    `has_key` tells whether there was something at all.
    """

    meta: Meta | None
    has_key: bool
    header: Header | None
    record: bytes | None


NOTHING_CACHED: Final = CachedEntry(None, has_key=False, header=None, record=None)
"""What a Redis holds that was emptied or does not answer."""


class Outcome(NamedTuple):
    """Whether a write was accepted, and the shard's meta as it stands after it."""

    is_accepted: bool
    meta: Meta | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A shard's outbox rows from `first_seq` to `last_seq`, as records by customer id.

    `publication` is the newest one under which all records of the shard are right once the batch is
    applied, as far as that is known; 0 says nothing. Without rows `last_seq` is `first_seq - 1`.
    """

    life: CacheLife
    first_seq: int
    last_seq: int
    publication: int
    newest_publication: int
    records: Mapping[str, bytes]


class WarmingPage(NamedTuple):
    """Which page of which warm-up of a shard. The pages of a session count from 0."""

    session: int
    ordinal: int


NO_WARMING: Final = WarmingPage(session=0, ordinal=0)
"""Marks a fill after a miss, which is part of no warm-up."""


class Cache:
    """The records and metas under one namespace of a Redis. Safe to be used by several threads.

    Every method raises UnavailableError when Redis does not answer; a write may then have happened
    or not, and may be repeated.
    """

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        """Use the keys that begin with `namespace`.

        Raises ValueError when it has other characters than letters, digits and `. _ : -`.
        """
        if _NAMESPACE.fullmatch(namespace) is None:
            message = f"{namespace!r} cannot begin keys: use letters, digits and . _ : - only"
            raise ValueError(message)
        self._client = client
        # What is in braces decides on the slot in a cluster: the shard, and nothing else.
        self._meta_keys = [f"{namespace}:{{s{number}}}:meta" for number in range(SHARD_COUNT)]
        self._warming_keys = [f"{namespace}:{{s{number}}}:warming" for number in range(SHARD_COUNT)]
        self._customer_prefixes = [f"{namespace}:{{s{number}}}:c:" for number in range(SHARD_COUNT)]
        self._customer_pattern = f"{namespace}:{{s*}}:c:*"
        self._project = client.register_script(_script("project"))
        self._begin_incarnation = client.register_script(_script("begin_incarnation"))
        self._fill = client.register_script(_script("fill"))
        self._mark_complete = client.register_script(_script("mark_complete"))

    def read(self, customer_ids: Sequence[str]) -> list[CachedEntry]:
        """Read what Redis holds for customer ids, in their order and in one round trip.

        Record and meta of a shard are read by one command: they belong together.
        """
        places: dict[int, list[int]] = {}
        for place, customer_id in enumerate(customer_ids):
            places.setdefault(shard_of(customer_id), []).append(place)
        commands = [
            [self._meta_keys[number]]
            + [self._customer_prefixes[number] + customer_ids[place] for place in in_shard]
            for number, in_shard in places.items()
        ]
        entries: list[CachedEntry] = [NOTHING_CACHED] * len(customer_ids)
        replies = self._read_many(commands)
        for in_shard, (meta_text, *records) in zip(places.values(), replies, strict=True):
            meta = decode_meta(meta_text)
            for place, record in zip(in_shard, records, strict=True):
                entries[place] = _entry(meta, record)
        return entries

    def read_metas(self, numbers: Iterable[int] = range(SHARD_COUNT)) -> dict[int, Meta | None]:
        """Read the metas of shards, in one round trip."""
        wanted = list(numbers)
        replies = self._read_many([[self._meta_keys[number]] for number in wanted])
        return {
            number: decode_meta(reply[0]) for number, reply in zip(wanted, replies, strict=True)
        }

    def project(self, number: int, batch: Batch) -> Outcome:
        """Apply a batch to a shard, if it is of the shard's life and follows what was applied.

        A repeated or late batch is refused and harmless: then the meta says how far the shard is.
        """
        arguments = (
            *batch.life,
            batch.first_seq,
            batch.last_seq,
            batch.publication,
            batch.newest_publication,
        )
        return self._write(self._project, number, arguments, batch.life, batch.records)

    def begin_incarnation(self, number: int, meta: Meta) -> Outcome:
        """Begin a life of a shard's cache, if it is later than the one there is.

        From then on the records of earlier lives are absent.
        """
        arguments = (
            *meta.life,
            meta.applied_seq,
            meta.publication,
            int(meta.is_complete),
            meta.newest_publication,
        )
        return self._write(self._begin_incarnation, number, arguments, meta.life, {})

    def fill(
        self,
        number: int,
        life: CacheLife,
        records: Mapping[str, bytes],
        page: WarmingPage = NO_WARMING,
    ) -> Outcome:
        """Put in records of a shard that were read from PostgreSQL.

        `life` MUST be what the shard's meta said before the reading began: under another one all
        are refused. One that Redis holds in the same or a higher version stays. A page of a warm-up
        is counted with it, and refused when the one before it was not.
        """
        keys = [self._warming_keys[number]]
        return self._write(self._fill, number, (*life, *page), life, records, keys)

    def mark_complete(self, number: int, life: CacheLife, session: int, pages: int) -> Outcome:
        """Say that a warm-up put in every customer of a shard during `life`, on so many pages.

        It is refused unless Redis has counted them all: one that went back to an older snapshot
        may have lost some, though its life is the same.
        """
        keys = [self._warming_keys[number]]
        arguments = (*life, session, pages)
        return self._write(self._mark_complete, number, arguments, life, {}, keys)

    def scan_customer_ids(self) -> Iterator[str]:
        """Go through the customer ids that have a key, some perhaps twice, in no order."""
        with _translated_errors():
            for key in self._client.scan_iter(match=self._customer_pattern, count=KEYS_PER_SCAN):
                yield key.decode().partition("}:c:")[2]

    def _read_many(self, commands: Sequence[Sequence[str]]) -> list[list[Any]]:
        with _translated_errors():
            if len(commands) == 1:
                return [self._client.mget(commands[0])]
            pipeline = self._client.pipeline(transaction=False)
            for keys in commands:
                pipeline.mget(keys)
            return pipeline.execute()

    def _write(
        self,
        script: Any,  # noqa: ANN401 - redis-py's class of scripts is not public
        number: int,
        arguments: Sequence[int],
        life: CacheLife,
        records: Mapping[str, bytes],
        keys: Sequence[str] = (),
    ) -> Outcome:
        prefix = self._customer_prefixes[number]
        with _translated_errors():
            is_accepted, meta_text = script(
                keys=[
                    self._meta_keys[number],
                    *keys,
                    *(prefix + customer_id for customer_id in records),
                ],
                args=[
                    *arguments,
                    *(records_of_store.stamp(record, *life) for record in records.values()),
                ],
            )
        return Outcome(bool(is_accepted), decode_meta(meta_text))


def _entry(meta: Meta | None, record: bytes | None) -> CachedEntry:
    if meta is None or record is None:
        return CachedEntry(meta, has_key=record is not None, header=None, record=None)
    try:
        header = decode_header(record)
    except ValueError:
        return CachedEntry(meta, has_key=True, header=None, record=None)
    if (header.epoch, header.incarnation) != meta.life:
        return CachedEntry(meta, has_key=True, header=None, record=None)
    return CachedEntry(meta, has_key=True, header=header, record=record)


def _script(name: str) -> str:
    folder = files("store") / "lua"
    return (folder / "common.lua").read_text() + (folder / f"{name}.lua").read_text()


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        message = "Redis does not answer: try again later"
        raise UnavailableError(message) from error
