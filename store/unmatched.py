"""Unmatched events: purchases and consents that wait for a publication to give them consents.

What lives here: listing them in the order recorded, as they are under the newest publication, also
while it is being rolled out. Which events are unmatched is decided by `decision.fold`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, Select, select

from decision.events import EventKind
from decision.grants import Unmatched, UnmatchedCause
from decision.instants import Instant
from store.database import reading
from store.history import RecordedEvent, find_recorded
from store.publications import Catalogs, PublishedCatalog
from store.schema import event, shard, state, subject, unmatched
from store.staleness import Keys, is_rolled_out, is_stale, next_window
from store.states import fold_afresh
from store.subjects import find_roots, find_subjects

STALE_EVENTS_PER_WINDOW: Final = 200
"""Events of people to be folded afresh that are looked at together."""

WINDOWS_PER_PAGE_MAX: Final = 10
"""Windows that one page looks through; it may end up short, and the next page goes on."""


class UnmatchedEvent(NamedTuple):
    """An event that gave no grant or not every one, and why."""

    recorded: RecordedEvent
    unmatched: Unmatched


class UnmatchedPage(NamedTuple):
    """Unmatched events, and the instant after which the list goes on, None at its end."""

    events: Sequence[UnmatchedEvent]
    next_after: Instant | None


def list_unmatched(
    engine: Engine,
    catalogs: Catalogs,
    customer_id: str | None,
    after: Instant,
    until: Instant,
    size: int,
) -> UnmatchedPage:
    """Give the unmatched events of a person or of everybody in `(after, until]`, as recorded.

    `until` MUST be settled (`knowledge`), so that nothing is recorded any more behind a page.
    Raises UnavailableError.
    """
    with reading(engine) as connection:
        # One snapshot, so that no state is of a newer publication than the catalog.
        connection.execution_options(isolation_level="REPEATABLE READ")
        root = None
        if customer_id is not None:
            number = find_subjects(connection, [customer_id]).get(customer_id)
            if number is None:
                return UnmatchedPage((), None)
            root = find_roots(connection, [number])[number]
        page = _Page(connection, catalogs.newest_in(connection), root, until)
        return page.read(after, size)


class _Page:
    def __init__(
        self,
        connection: Connection,
        published: PublishedCatalog,
        root: int | None,
        until: Instant,
    ) -> None:
        self._connection = connection
        self._published = published
        self._root = root
        self._until = until
        self._is_rolled_out = is_rolled_out(connection, published)

    def read(self, after: Instant, size: int) -> UnmatchedPage:
        found: dict[Instant, Unmatched] = {}
        next_after: Instant | None = after
        for _ in range(WINDOWS_PER_PAGE_MAX):
            if next_after is None or len(found) >= size:
                break
            in_window, next_after = self._window(next_after, size - len(found))
            found |= in_window
        recorded = find_recorded(
            self._connection, [missed.event_id for missed in found.values()], self._until
        )
        return UnmatchedPage(
            [UnmatchedEvent(one, found[one.recorded_at]) for one in recorded], next_after
        )

    def _window(
        self, after: Instant, size: int
    ) -> tuple[Mapping[Instant, Unmatched], Instant | None]:
        # One more than fits tells whether anything follows.
        ready = self._ready(after, size + 1)
        stale = self._stale(after)
        window = next_window(
            Keys(list(ready), size + 1), Keys(list(stale), STALE_EVENTS_PER_WINDOW), size
        )
        missed = self._missed_afresh({stale[key] for key in window.keys if key in stale})
        return {
            key: known
            for key in window.keys
            if (known := missed.get(key) if key in stale else ready[key]) is not None
        }, window.next_after

    def _ready(self, after: Instant, limit: int) -> Mapping[Instant, Unmatched]:
        query = (
            select(unmatched, event.c.recorded_at)
            .join(event, event.c.event_id == unmatched.c.event_id)
            .where(event.c.recorded_at > after)
            .where(event.c.recorded_at <= self._until)
            .order_by(event.c.recorded_at)
            .limit(limit)
        )
        if self._root is not None:
            query = query.where(unmatched.c.subject == self._root)
        return {
            row.recorded_at: Unmatched(
                row.event_id,
                UnmatchedCause(row.cause),
                tuple(row.consent_types),
                row.matrix_row_id,
            )
            for row in self._connection.execute(query)
        }

    def _stale(self, after: Instant) -> Mapping[Instant, int]:
        """Give when the next events of stale people were recorded, and whose they are."""
        if self._is_rolled_out:
            return {}
        query: Select[Any] = (
            select(event.c.recorded_at, state.c.subject)
            .select_from(event)
            .join(subject, subject.c.number == event.c.subject)
            .join(state, state.c.subject == subject.c.root)
            .join(shard, shard.c.number == state.c.shard)
            .where(is_stale(self._published))
            .where(event.c.kind.in_([EventKind.PURCHASE.value, EventKind.CONSENT.value]))
            .where(event.c.recorded_at > after)
            .where(event.c.recorded_at <= self._until)
            .order_by(event.c.recorded_at)
            .limit(STALE_EVENTS_PER_WINDOW)
        )
        if self._root is not None:
            query = query.where(state.c.subject == self._root)
        return {row.recorded_at: row.subject for row in self._connection.execute(query)}

    def _missed_afresh(self, roots: Collection[int]) -> Mapping[Instant, Unmatched]:
        missed: dict[Instant, Unmatched] = {}
        for folded in fold_afresh(self._connection, self._published, roots):
            recorded_at = {one.event_id: one.recorded_at for one in folded.events}
            missed |= {recorded_at[one.event_id]: one for one in folded.folded.unmatched}
        return missed
