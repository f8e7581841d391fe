"""Filling the cache again by itself after Redis lost it.

What lives here: noticing shards that are not completely loaded, and warming them. One process of an
installation does it at a time; checks are answered from PostgreSQL meanwhile, and fill what they
ask for themselves (`design.md`, "Cold or emptied Redis").
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Engine, text

from store.cache import Cache
from store.database import reading
from store.warming import warm

REWARMING_LOCK: Final = 5_164_004
"""Advisory lock held by the process that warms. It saves work, and nothing rests on it."""

_logger = logging.getLogger(__name__)


class Rewarmer:
    """Warms what is not complete. Any number may work side by side; one at a time does."""

    def __init__(self, engine: Engine, cache: Cache) -> None:
        """Warm `cache` from the ledger at `engine`."""
        self._engine = engine
        self._cache = cache

    def run_pending(self, stop: threading.Event) -> None:
        """Warm every shard that has begun a life and is not complete, or until `stop` is set.

        Raises UnavailableError when Redis or PostgreSQL does not answer.
        """
        if not self._incomplete_shards():
            return
        with self._turn() as is_ours:
            # Looked at once more: somebody else may have warmed them in the meantime.
            numbers = self._incomplete_shards() if is_ours else []
            if not numbers:
                return
            _logger.info("warming %d shards of which Redis does not hold everybody", len(numbers))
            customers = 0
            for number in numbers:
                if stop.is_set():
                    return
                customers += warm(self._engine, self._cache, [number]).customers
            _logger.info("warmed %d shards: %d customers", len(numbers), customers)

    def _incomplete_shards(self) -> list[int]:
        """Give the shards in question; those without a meta are the projector's to begin."""
        return [
            number
            for number, meta in self._cache.read_metas().items()
            if meta is not None and not meta.is_complete
        ]

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Tell whether it is our turn. The lock is the session's, so that no transaction lasts."""
        lock = {"lock": REWARMING_LOCK}
        with reading(self._engine) as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            is_ours = bool(connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), lock))
            try:
                yield is_ours
            finally:
                if is_ours:
                    # Closed and not given back: with the session goes the lock, whatever happened.
                    connection.invalidate()
