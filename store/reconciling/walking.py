"""Which customers a reconciler looks at next.

What lives here: a walk that meets everybody once a round, and meets nobody first every time. Each
reconciler has a walk of its own, so several look at different customers most of the time.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Engine, func, select

from store.database import reading
from store.schema import customer, subject
from store.sharding import SHARD_COUNT

_BEFORE_ALL: Final = -1


class Walked(NamedTuple):
    """A subject on a page; an erased one has an empty customer id."""

    subject: int
    customer_id: str


class Page(NamedTuple):
    """Subjects of one shard, in order; maybe none."""

    shard: int
    subjects: Sequence[Walked]


class Walk:
    """Goes through all shards in random order, and each of them from a random place once around.

    A process that is restarted often so meets the last ones as soon as the first ones.
    """

    def __init__(self, engine: Engine, draw: random.Random, subjects_per_page: int) -> None:
        """Walk over the subjects in `engine`, in pages of at most `subjects_per_page`."""
        self._engine = engine
        self._draw = draw
        self._subjects_per_page = subjects_per_page
        self._pages = self._walk()
        self.rounds = 0

    def next_page(self) -> Page:
        """Give the next page. Raises UnavailableError; then the walk begins anew."""
        try:
            return next(self._pages)
        except BaseException:
            # A generator that raised is at its end.
            self._pages = self._walk()
            raise

    def _walk(self) -> Iterator[Page]:
        while True:
            for number in self._draw.sample(range(SHARD_COUNT), SHARD_COUNT):
                yield from self._once_around(number)
            self.rounds += 1

    def _once_around(self, number: int) -> Iterator[Page]:
        with reading(self._engine) as connection:
            least, most = connection.execute(
                select(func.min(subject.c.number), func.max(subject.c.number)).where(
                    subject.c.shard == number
                )
            ).one()
        if least is None:
            yield Page(number, ())
            return
        start = self._draw.randint(least, most)
        yield from self._between(number, start - 1, most)
        yield from self._between(number, _BEFORE_ALL, start - 1)

    def _between(self, number: int, after: int, until: int) -> Iterator[Page]:
        """Go through the subjects above `after` and up to `until`, which may be none."""
        while after < until:
            with reading(self._engine) as connection:
                rows = connection.execute(
                    select(subject.c.number, customer.c.customer_id)
                    .select_from(
                        subject.outerjoin(customer, customer.c.subject == subject.c.number)
                    )
                    .where(subject.c.shard == number)
                    .where(subject.c.number > after)
                    .where(subject.c.number <= until)
                    .order_by(subject.c.number)
                    .limit(self._subjects_per_page)
                ).all()
            if not rows:
                return
            yield Page(number, [Walked(row.number, row.customer_id or "") for row in rows])
            after = rows[-1].number
