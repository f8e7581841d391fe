"""Reading permissions of thousands of customers at once, where Redis can be trusted for them.

What lives here: the allow rule of `reader` applied to many entries together (`design.md`, "No stale
ALLOW", step 5). Whoever is not `answerable` here is no miss yet: `reader` judges each of them by
itself, and asks PostgreSQL where that is needed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from decision.instants import Instant
from decision.scopes import Scope
from store.cache import Cache, ManyEntries, Sent, cached_entry
from store.catalog_steps import CatalogSteps
from store.guard import Guard, GuardKeeper
from store.judging import Flags, Records
from store.lookups import UNCOUNTED, LookupCounter
from store.meta import Meta
from store.publications import Catalogs, PublishedCatalog
from store.sharding import SHARD_COUNT
from store.token import Token


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading that is under way, under the guard that was read before it was sent."""

    customer_ids: Sequence[str]
    token: Token | None
    guard: Guard
    sent: Sent


@dataclass(frozen=True, slots=True)
class ManyPermissions:
    """What Redis holds for many customers and may count, if the lease still holds once it was used.

    `records`, `places`, `is_nobodys` and `counts` go together: `places` tells which of the ids that
    were asked for a record belongs to. Only where it `counts` a record does say something; where
    it `is_nobodys` nothing names the customer. `right_under` is the publication under which a
    record is right. All of it is of meaning under `published` and from `now` on.
    """

    guard: Guard
    published: PublishedCatalog
    now: Instant
    places: NDArray[np.int64]
    records: Records
    counts: Flags
    is_nobodys: Flags
    right_under: NDArray[np.int64]


class BulkReader:
    """Reads permissions of many customers. Safe to be used by several threads."""

    def __init__(
        self,
        cache: Cache,
        catalogs: Catalogs,
        keeper: GuardKeeper,
        lookups: LookupCounter = UNCOUNTED,
    ) -> None:
        """Read from `cache` what the guard lets count.

        `lookups` is for those who used it, to count whom it answered for: of all others `reader`
        counts what came.
        """
        self._cache = cache
        self._catalogs = catalogs
        self._keeper = keeper
        self.lookups = lookups
        self._steps = CatalogSteps(catalogs)

    def begin(self, customer_ids: Sequence[str], token: Token | None) -> Reading:
        """Ask Redis for customers, one of whom may stand twice, without awaiting the reply.

        MUST be called after the request was read; `finish` or `drop` MUST follow. Raises
        UnavailableError.
        """
        # The floors that the reply is held against are those of before it was asked for.
        guard = self._keeper.current()
        return Reading(customer_ids, token, guard, self._cache.send_many(customer_ids))

    def finish(self, reading: Reading) -> ManyPermissions:
        """Await the reply and tell what of it counts, the lease aside.

        Raises UnavailableError and OverloadedError.
        """
        entries = self._cache.receive_many(reading.sent)
        records = Records(entries.records)
        guard = reading.guard
        metas = _MetaArrays(entries.metas)
        shards = entries.shards
        is_of_life = (
            records.readable
            & (records.epochs == metas.epochs[shards])
            & (records.incarnations == metas.incarnations[shards])
        )
        right_under = np.maximum(records.publications.astype(np.int64), metas.publications[shards])
        told = max(
            guard.publication,
            reading.token.publication if reading.token is not None else 0,
            int(metas.newest.max()),
            int(right_under[is_of_life].max(initial=0)),
        )
        published = self._catalogs.refresh(told, guard.epoch)
        fits = _fitting_shards(entries.metas, published, reading)[shards]
        _heed_customer_floors(fits, entries, reading)
        return ManyPermissions(
            guard,
            published,
            guard.now(),
            entries.places,
            records,
            fits & is_of_life,
            fits & records.is_missing & metas.complete[shards],
            right_under,
        )

    def drop(self, reading: Reading) -> None:
        """Give up a reading."""
        self._cache.drop(reading.sent)

    def answerable(self, found: ManyPermissions, scopes: Collection[Scope]) -> Flags:
        """Tell which records may answer for all of the scopes, codes of the newest catalog.

        Of an older publication only those whose scopes no difference to the newest one reaches.
        """
        published = found.published
        answerable: Flags = found.counts & (found.right_under == published.number)
        if answerable.all():
            return answerable
        for number in np.unique(found.right_under[found.counts & ~answerable]).tolist():
            # A restore may have taken a newer one away.
            if number < published.number and self._steps.leave(number, published, scopes):
                answerable |= found.counts & (found.right_under == number)
        return answerable


class _MetaArrays:
    """What the metas of all shards say, by shard; a meta that is lost is of no life."""

    def __init__(self, metas: Sequence[Meta | None]) -> None:
        self.epochs = np.full(SHARD_COUNT, -1, np.int64)
        self.incarnations = np.full(SHARD_COUNT, -1, np.int64)
        self.publications = np.zeros(SHARD_COUNT, np.int64)
        self.newest = np.zeros(SHARD_COUNT, np.int64)
        self.complete = np.zeros(SHARD_COUNT, np.bool_)
        for number, meta in enumerate(metas):
            if meta is not None:
                self.epochs[number], self.incarnations[number] = meta.life
                self.publications[number] = meta.publication
                self.newest[number] = max(meta.publication, meta.newest_publication)
                self.complete[number] = meta.is_complete


def _fitting_shards(
    metas: Sequence[Meta | None], published: PublishedCatalog, reading: Reading
) -> Flags:
    """Apply to each shard what of the allow rule concerns the whole of it."""
    guard, token = reading.guard, reading.token
    # A number means another publication in another life of the ledger.
    is_of_epoch = published.epoch == guard.epoch
    return np.array(
        [
            is_of_epoch
            and meta is not None
            and guard.is_of_epoch(meta)
            and guard.is_shard_reached(number, meta)
            and (token is None or token.is_reached_by(number, meta))
            for number, meta in enumerate(metas)
        ],
        np.bool_,
    )


def _heed_customer_floors(fits: Flags, entries: ManyEntries, reading: Reading) -> None:
    floors = reading.guard.customers
    if not floors:
        return
    for index, place in enumerate(entries.places.tolist()):
        customer_id = reading.customer_ids[place]
        if customer_id not in floors or not fits[index]:
            continue
        number = int(entries.shards[index])
        meta = entries.metas[number]
        fits[index] = meta is not None and reading.guard.is_customer_reached(
            customer_id, meta, cached_entry(number, meta, entries.records[index]).header
        )
