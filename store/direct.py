"""Projecting what was just committed, by whoever committed it, without reading it back.

What lives here: putting a transaction's own batches into Redis. A batch holds exactly the rows that
the transaction appended to a shard's outbox, with the records as it wrote them, for the life of the
cache that the locked shard said. So it is what the projector would read: Redis takes it only if it
follows what is applied, in that life; whatever else happened is the projector's to sort out.
"""

import logging
from collections.abc import Callable, Collection, Mapping

from decision.errors import UnavailableError
from store.cache import Batch, Cache

_logger = logging.getLogger(__name__)


class DirectProjector:
    """Projects committed batches. Safe to be used by several threads."""

    def __init__(self, cache: Cache, catch_up: Callable[[Collection[int]], object]) -> None:
        """Project into `cache`; `catch_up` is told of shards that lack something else before."""
        self._cache = cache
        self._catch_up = catch_up

    def project(self, batches: Mapping[int, Batch]) -> None:
        """Project batches by shard, after their commit, which no failure here takes back.

        So none is raised: it is logged, and what is left is for `catch_up`, or for every writer's
        projector, which looks at all shards by itself.
        """
        behind: list[int] = []
        try:
            for number, batch in batches.items():
                if not self._is_projected(number, batch):
                    behind.append(number)
            if behind:
                self._catch_up(behind)
        except UnavailableError as error:
            # They project what is left as soon as Redis is back.
            _logger.warning("not projected by who recorded it: %s", error)
        except Exception:
            _logger.exception("not projected by who recorded it")

    def _is_projected(self, number: int, batch: Batch) -> bool:
        try:
            return self._cache.project(number, batch).is_accepted
        except UnavailableError:
            raise
        except Exception:
            # One bad shard must not hold up the others.
            _logger.exception("shard %d is not projected by who recorded it", number)
            return False
