"""Cached records under a catalog that was published after them.

What lives here: the comparisons between an older publication and the newest, made once each, by
which a publication takes effect at once without sending every check to PostgreSQL until the
roll-out has rewritten the records (`design.md`, "No stale ALLOW", step 4). What a comparison means
is `decision.catalog_step`'s business.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Final

from decision.catalog_step import CatalogStep
from decision.errors import OverloadedError, UnavailableError
from decision.instants import Instant
from decision.scopes import Scope
from decision.timeline import PermissionTimeline
from store.epochs import NO_EPOCH
from store.publications import Catalogs, PublishedCatalog

STEPS_KEPT_MAX: Final = 16
"""Comparisons that a process keeps: publications that follow each other before a roll-out ends."""


class CatalogSteps:
    """Tells whether older records may still answer. Safe to be used by several threads."""

    def __init__(self, catalogs: Catalogs) -> None:
        """Take publications from `catalogs`."""
        self._catalogs = catalogs
        self._step = lru_cache(STEPS_KEPT_MAX)(self._compare)

    def keep(
        self,
        number: int,
        published: PublishedCatalog,
        timeline: PermissionTimeline,
        scopes: Collection[Scope] | None,
        at: Instant,
    ) -> bool:
        """Tell whether a timeline that is right under publication `number` may answer for scopes.

        `at` is the instant asked about, `published` the newest publication.
        """
        try:
            step = self._step(published.epoch, number, published.number)
        except (UnavailableError, OverloadedError):
            return False
        if scopes is None:
            return step.is_exact
        return all(step.keeps(timeline, scope, at) for scope in scopes)

    def leave(self, number: int, published: PublishedCatalog, scopes: Collection[Scope]) -> bool:
        """Tell whether everybody's answers for scopes are the same as under publication `number`.

        Suspensions aside: they are to be those of `published`, the newest publication.
        """
        try:
            step = self._step(published.epoch, number, published.number)
        except (UnavailableError, OverloadedError):
            return False
        return all(step.leaves(scope) for scope in scopes)

    def _compare(self, epoch: int, number: int, newest_number: int) -> CatalogStep:
        old, new = self._catalogs.get(number), self._catalogs.get(newest_number)
        if new.epoch != epoch or old.epoch not in (epoch, NO_EPOCH):
            message = "another epoch of the ledger has begun, in which numbers may be given anew"
            raise UnavailableError(message)
        return CatalogStep(old.catalog, new.catalog)
