"""Reverse questions: everybody to whom something is allowed, a chunk at a time.

What lives here: reading the table of permissions by scope. What a permission is, is decided by
`decision`; the table holds its answers over all time, suspensions aside.
"""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from decision.answer import ShareAnswer, answer_scope
from decision.instants import Instant
from decision.reasons import Verdict
from decision.scopes import Scope
from store.database import reading
from store.ledger_clock import read_now
from store.publications import Catalogs, PublishedCatalog
from store.schema import customer, permission, shard, state
from store.staleness import Keys, is_rolled_out, is_stale, next_window
from store.states import fold_afresh

CHUNK_SIZE_MAX: Final = 10_000
_LINE_END: Final = "\n"
STALE_PER_CHUNK_MAX: Final = 200
"""People that one chunk folds afresh at the most, while a publication is being rolled out."""


class AllowedChunk(NamedTuple):
    """Customers to whom everything asked about is allowed at `decided_at`.

    The list goes on after the subject `next_after`, unless this is its last chunk.
    """

    customer_ids: Sequence[str]
    next_after: int
    is_last: bool
    decided_at: Instant


def list_allowed(
    engine: Engine,
    catalogs: Catalogs,
    scopes: Sequence[Scope],
    at: Instant | None,
    after: int,
    size: int,
) -> AllowedChunk:
    """Give the next customers to whom all of `scopes`, codes of the newest catalog, are allowed.

    People are listed by their root subject, under its customer id; so no id comes twice, whatever
    happens between two chunks. `at` None, or one that has passed, means now by PostgreSQL.
    Raises UnavailableError.
    """
    with reading(engine) as connection:
        # One snapshot, so that no state is of a newer publication than the catalog.
        connection.execution_options(isolation_level="REPEATABLE READ")
        published = catalogs.newest_in(connection)
        now = read_now(connection)
        chunk = _Chunk(connection, published, scopes, now if at is None else max(at, now))
        return chunk.read(after, size)


class _Chunk:
    def __init__(
        self,
        connection: Connection,
        published: PublishedCatalog,
        scopes: Sequence[Scope],
        decided_at: Instant,
    ) -> None:
        self._connection = connection
        self._published = published
        self._scopes = scopes
        self._decided_at = decided_at

    def read(self, after: int, size: int) -> AllowedChunk:
        if any(self._is_suspended(scope) for scope in self._scopes):
            return AllowedChunk((), after, is_last=True, decided_at=self._decided_at)
        stale = self._stale(after)
        if not stale:
            return self._page(after, size)
        ready = self._connection.scalars(self._ready(after, size)).all()
        window = next_window(Keys(ready, size), Keys(stale, STALE_PER_CHUNK_MAX), size)
        stale_here = set(stale).intersection(window.keys)
        allowed = set(window.keys) - stale_here | self._allowed_afresh(stale_here)
        return AllowedChunk(
            self._customer_ids(sorted(allowed)),
            max([after, *window.keys]) if window.next_after is None else window.next_after,
            is_last=window.next_after is None,
            decided_at=self._decided_at,
        )

    def _page(self, after: int, size: int) -> AllowedChunk:
        """Read a chunk as one row, where every state is ready."""
        ready = self._ready(after, size).subquery()
        # No id has a control character in it, so lines part them: one text for thousands of rows.
        together = func.string_agg(
            customer.c.customer_id, aggregate_order_by(literal(_LINE_END), ready.c.subject)
        )
        count, last, ids = self._connection.execute(
            select(func.count(), func.max(ready.c.subject), together).select_from(
                ready.outerjoin(customer, customer.c.subject == ready.c.subject)
            )
        ).one()
        return AllowedChunk(
            ids.split(_LINE_END) if ids is not None else (),
            after if last is None else last,
            is_last=count < size,
            decided_at=self._decided_at,
        )

    def _is_suspended(self, scope: Scope) -> bool:
        suspension = self._published.catalog.suspension_of(scope)
        return suspension is not None and suspension.holds_at(self._decided_at)

    def _ready(self, after: int, size: int) -> Select[int]:
        """Select subjects with a permission that holds for every scope.

        The first scope leads, along the table's key; the others are looked up.
        """
        first, *others = (permission.alias() for _ in self._scopes)
        leading, *following = (
            self._published.numbers.scope_number(scope) for scope in self._scopes
        )
        query = (
            select(first.c.subject)
            .where(first.c.scope == leading)
            .where(first.c.subject > after)
            .where(self._holds(first.c.allowed_from, first.c.allowed_until))
            .order_by(first.c.subject)
            .limit(size)
        )
        for other, number in zip(others, following, strict=True):
            query = query.where(
                select(other.c.subject)
                .where(other.c.scope == number)
                .where(other.c.subject == first.c.subject)
                .where(self._holds(other.c.allowed_from, other.c.allowed_until))
                .exists()
            )
        return query

    def _holds(
        self, start: ColumnElement[Instant], end: ColumnElement[Instant]
    ) -> ColumnElement[bool]:
        return (start <= self._decided_at) & (end > self._decided_at)

    def _stale(self, after: int) -> Sequence[int]:
        if is_rolled_out(self._connection, self._published):
            return ()
        return self._connection.scalars(
            select(state.c.subject)
            .join(shard, shard.c.number == state.c.shard)
            .where(is_stale(self._published))
            .where(state.c.subject > after)
            .order_by(state.c.subject)
            .limit(STALE_PER_CHUNK_MAX)
        ).all()

    def _allowed_afresh(self, roots: Collection[int]) -> set[int]:
        catalog = self._published.catalog
        return {
            folded.person.root
            for folded in fold_afresh(self._connection, self._published, roots)
            if ShareAnswer(
                [
                    answer_scope(
                        folded.timeline, catalog.suspension_of(scope), scope, self._decided_at
                    )
                    for scope in self._scopes
                ]
            ).verdict
            is Verdict.ALLOW
        }

    def _customer_ids(self, roots: Sequence[int]) -> Sequence[str]:
        """Give the ids of root subjects; erased ones have none."""
        return self._connection.scalars(
            select(customer.c.customer_id)
            .where(customer.c.subject == func.any(list(roots)))
            .order_by(customer.c.subject)
        ).all()
