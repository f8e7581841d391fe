"""The cache in Redis: one record for each customer id, one meta for each shard.

What lives here: the keys, and every way in which Redis is read and written. A write of records is
one Lua call on one shard, so it is atomic, and every call says to which life of the cache it
belongs (`design.md`, "No stale ALLOW", step 2). Records are replaced; they are deleted only when
whoever they are of is erased. Connections, clusters and outages are dealt with in `redis_client`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from store import record as records_of_store
from store.cached_entries import NOTHING_CACHED, CachedEntry, ManyEntries, cached_entry
from store.meta import CacheLife, Meta, decode_meta
from store.redis_client import RedisClient, Script, UnderWay, open_client
from store.redis_connection import Command, PackedCommand
from store.redis_layout import shard_tag
from store.sharding import SHARD_COUNT, shard_of, shards_of

__all__ = [
    "NOTHING_CACHED",
    "NO_WARMING",
    "Batch",
    "Cache",
    "CachedEntry",
    "ManyEntries",
    "Outcome",
    "Sent",
    "WarmingPage",
    "cached_entry",
    "open_client",
]

KEYS_PER_SCAN: Final = 1000

_KEEPING_POLICY: Final = "noeviction"

# Nothing that a pattern of keys or a slot would be read from.
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9._:-]+")


class Sent(NamedTuple):
    """A question for many customer ids that is under way: what `Cache.receive_many` is given."""

    under_way: UnderWay
    counts: Mapping[int, int]
    shards: NDArray[np.uint8]
    places: NDArray[np.int64]


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

    Every method raises UnavailableError when Redis does not answer, at once where that is known
    already; a write may then have happened or not, and may be repeated.
    """

    def __init__(self, client: RedisClient, namespace: str) -> None:
        """Use the keys that begin with `namespace`.

        Raises ValueError when it has other characters than letters, digits and `. _ : -`.
        """
        if _NAMESPACE.fullmatch(namespace) is None:
            message = f"{namespace!r} cannot begin keys: use letters, digits and . _ : - only"
            raise ValueError(message)
        self._client = client
        keys = [f"{namespace}:{shard_tag(number)}" for number in range(SHARD_COUNT)]
        self._meta_keys = [f"{key}:meta" for key in keys]
        self._warming_keys = [f"{key}:warming" for key in keys]
        self._forgotten_keys = [f"{key}:forgotten" for key in keys]
        self._customer_prefixes = [f"{key}:c:" for key in keys]
        # What a command that reads one customer begins with, up to the length of the last key.
        self._single_heads = [
            f"*3\r\n$4\r\nMGET\r\n${len(key)}\r\n{key}\r\n$".encode() for key in self._meta_keys
        ]
        self._encoded_prefixes = [prefix.encode() for prefix in self._customer_prefixes]
        self._prefix_lengths = [len(prefix) for prefix in self._encoded_prefixes]
        self._last_metas: list[tuple[bytes | None, Meta | None]] = [(None, None)] * SHARD_COUNT
        self._customer_pattern = f"{namespace}:{{s*}}:c:*"
        self._project = _script("project")
        self._begin_incarnation = _script("begin_incarnation")
        self._fill = _script("fill")
        self._forget = _script("forget")
        self._mark_complete = _script("mark_complete")

    @property
    def is_lost(self) -> bool:
        """Whether Redis is known not to answer, for no shard: it is vain to wait for it."""
        return self._client.is_lost

    def is_shard_lost(self, number: int) -> bool:
        """Tell whether Redis is known not to answer for a shard."""
        return self._client.is_shard_lost(number)

    def read(self, customer_ids: Sequence[str]) -> list[CachedEntry]:
        """Read what Redis holds for customer ids, in their order and in one round trip.

        Record and meta of a shard are read by one command: they belong together. Of a cluster that
        answers in part, the rest is read as NOTHING_CACHED.
        """
        if len(customer_ids) == 1:
            return [self._read_one(customer_ids[0])]
        places: dict[int, list[int]] = {}
        for place, customer_id in enumerate(customer_ids):
            places.setdefault(shard_of(customer_id), []).append(place)
        commands = {
            number: [
                "MGET",
                self._meta_keys[number],
                *(self._customer_prefixes[number] + customer_ids[place] for place in in_shard),
            ]
            for number, in_shard in places.items()
        }
        entries: list[CachedEntry] = [NOTHING_CACHED] * len(customer_ids)
        for number, (meta_text, *records) in self._client.ask_each(commands).items():
            meta = decode_meta(meta_text)
            for place, record in zip(places[number], records, strict=True):
                entries[place] = cached_entry(number, meta, record)
        return entries

    def send_many(self, customer_ids: Sequence[str]) -> Sent:
        """Ask for what Redis holds for many customer ids, without awaiting it.

        `receive_many` or `drop` MUST follow. An id may stand twice.
        """
        shards = shards_of(customer_ids)
        places = np.argsort(shards, kind="stable")
        in_order = np.array(customer_ids, dtype=object)[places].tolist()
        length = _common_length(customer_ids)
        commands: dict[int, Command] = {}
        counts: dict[int, int] = {}
        begin = 0
        for number, count in enumerate(np.bincount(shards, minlength=SHARD_COUNT).tolist()):
            if count:
                commands[number] = self._mget(number, in_order[begin : begin + count], length)
                counts[number] = count
                begin += count
        return Sent(self._client.send_each(commands), counts, shards[places], places)

    def _mget(self, number: int, customer_ids: Sequence[str], length: int | None) -> Command:
        """Give the command that reads a shard's meta and records.

        Of ids that have all so many bytes it is written at once, which takes a tenth of the time.
        """
        meta_key, prefix = self._meta_keys[number], self._customer_prefixes[number]
        if length is None:
            return ("MGET", meta_key, *(prefix + customer_id for customer_id in customer_ids))
        before_each = f"\r\n${len(prefix) + length}\r\n{prefix}"
        head = f"*{2 + len(customer_ids)}\r\n$4\r\nMGET\r\n${len(meta_key)}\r\n{meta_key}"
        return PackedCommand(f"{before_each.join((head, *customer_ids))}\r\n".encode())

    def receive_many(self, sent: Sent) -> ManyEntries:
        """Give what was asked for. Record and meta of a shard were read by one command.

        Of a cluster that answers in part, the rest is read as if Redis had been emptied.
        """
        replies = self._client.receive_each(sent.under_way)
        metas: list[Meta | None] = [None] * SHARD_COUNT
        records: list[bytes | None] = []
        for number, count in sent.counts.items():
            reply = replies.get(number)
            if reply is None:
                records += [None] * count
            else:
                metas[number] = decode_meta(reply[0])
                records += reply[1:]
        return ManyEntries(metas, sent.shards, sent.places, records)

    def drop(self, sent: Sent) -> None:
        """Give up waiting for what was asked for."""
        self._client.drop(sent.under_way)

    def _read_one(self, customer_id: str) -> CachedEntry:
        number = shard_of(customer_id)
        encoded = customer_id.encode()
        # As `hiredis` would write it, in a fraction of the time.
        packed = b"%b%d\r\n%b%b\r\n" % (
            self._single_heads[number],
            self._prefix_lengths[number] + len(encoded),
            self._encoded_prefixes[number],
            encoded,
        )
        meta_text, record = self._client.ask(number, PackedCommand(packed))
        return cached_entry(number, self._meta(number, meta_text), record)

    def _meta(self, number: int, text: bytes | None) -> Meta | None:
        """Read a shard's meta, which mostly is the one that was read last."""
        last_text, meta = self._last_metas[number]
        if text != last_text:
            meta = decode_meta(text)
            self._last_metas[number] = (text, meta)
        return meta

    def read_bytes(
        self, number: int, customer_ids: Sequence[str]
    ) -> tuple[bytes | None, list[bytes | None]]:
        """Read a shard's meta and records of its customers just as they are, damaged or not."""
        prefix = self._customer_prefixes[number]
        keys = (self._meta_keys[number], *(prefix + customer_id for customer_id in customer_ids))
        meta_text, *records = self._client.ask(number, ("MGET", *keys))
        return meta_text, records

    def read_metas(self, numbers: Iterable[int] = range(SHARD_COUNT)) -> dict[int, Meta | None]:
        """Read the metas of shards, in one round trip.

        A shard for which a cluster does not answer is left out: that is not a meta which is lost.
        """
        replies = self._client.ask_each(
            {number: ("GET", self._meta_keys[number]) for number in numbers}
        )
        return {number: decode_meta(reply) for number, reply in replies.items()}

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
        seen_seq: int = 0,
    ) -> Outcome:
        """Put in records of a shard that were read from PostgreSQL.

        `life` and `seen_seq` MUST be what the shard's meta said before the reading began, its life
        and `applied_seq`: under another life all are refused, and if records were forgotten since.
        One that Redis holds in the same or a higher version stays. A page of a warm-up is counted
        with it, and refused when the one before it was not.
        """
        keys = [self._warming_keys[number], self._forgotten_keys[number]]
        return self._write(self._fill, number, (*life, *page, seen_seq), life, records, keys)

    def forget(
        self, number: int, life: CacheLife, seq: int, customer_ids: Collection[str]
    ) -> Outcome:
        """Remove the keys of customers of a shard, whom no row after `seq` of its outbox names.

        Refused while the shard is not applied up to there in `life`, which MUST be the one that
        PostgreSQL has. The caller MUST keep anybody from recording under these ids meanwhile.
        """
        prefix = self._customer_prefixes[number]
        keys = [self._forgotten_keys[number], *(prefix + one for one in customer_ids)]
        return self._write(self._forget, number, (*life, seq), life, {}, keys)

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
        for key in self._client.scan(self._customer_pattern, KEYS_PER_SCAN):
            yield key.decode().partition("}:c:")[2]

    def evicting_servers(self) -> dict[str, str]:
        """Give the servers that drop records when their memory is full, with their policy.

        A record that is missing has to mean that a customer is unknown, so none may be dropped.
        """
        return {
            server: policy
            for server, report in self._client.memory_reports().items()
            if (policy := _evicting_policy(report)) is not None
        }

    def _write(
        self,
        script: Script,
        number: int,
        arguments: Sequence[int],
        life: CacheLife,
        records: Mapping[str, bytes],
        keys: Sequence[str] = (),
    ) -> Outcome:
        prefix = self._customer_prefixes[number]
        is_accepted, meta_text = self._client.run(
            number,
            script,
            [
                self._meta_keys[number],
                *keys,
                *(prefix + customer_id for customer_id in records),
            ],
            [
                *arguments,
                *(records_of_store.stamp(record, *life) for record in records.values()),
            ],
        )
        return Outcome(bool(is_accepted), decode_meta(meta_text))


def _common_length(customer_ids: Sequence[str]) -> int | None:
    """Give the length of ids that are all alike in it, in bytes; None where they are not."""
    length = len(customer_ids[0])
    is_alike = all(map(length.__eq__, map(len, customer_ids)))
    return length if is_alike and "".join(customer_ids).isascii() else None


def _script(name: str) -> Script:
    folder = files("store") / "lua"
    return Script((folder / "common.lua").read_text() + (folder / f"{name}.lua").read_text())


def _evicting_policy(report: str) -> str | None:
    """Read from a server's report the policy by which it drops records; None if it drops none."""
    lines = dict(line.split(":", 1) for line in report.splitlines() if ":" in line)
    policy = lines.get("maxmemory_policy", _KEEPING_POLICY)
    is_limited = lines.get("maxmemory", "0") != "0"
    return policy if is_limited and policy != _KEEPING_POLICY else None
