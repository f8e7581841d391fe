"""Publications as the ledger keeps them, and the newest one as every process keeps it in memory."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, func, select

from decision.catalog import EMPTY_CATALOG, Catalog
from decision.catalog_document import read_catalog
from decision.catalog_history import CodeList
from decision.errors import ErrorCode, NotFoundError, UnavailableError
from decision.instants import BEGINNING, Instant
from store.code_numbers import CodeNumbers
from store.database import reading
from store.epochs import NO_EPOCH
from store.schema import code_number, installation, publication
from store.shared_reads import SharedReads

READS_IN_FLIGHT_MAX: Final = 2
"""Reads of publications that PostgreSQL has at once from one process."""

_NEWEST: Final = "newest"

PUBLICATIONS_KEPT_MAX: Final = 64
"""Parsed publications that a process keeps. Rarely few, because states name the publication under
which they were folded, and who writes them asks for it again."""


@dataclass(frozen=True, slots=True)
class PublishedCatalog:
    """A publication ready for use. Number 0, before the first publication, knows no codes.

    A restore may take a publication away and give its number to another one: what belongs to a
    number belongs to it in an `epoch` of the ledger only.
    """

    number: int
    epoch: int
    recorded_at: Instant
    catalog: Catalog
    numbers: CodeNumbers


NOTHING_PUBLISHED = PublishedCatalog(0, NO_EPOCH, BEGINNING, EMPTY_CATALOG, CodeNumbers({}))

NEWEST_PUBLICATION: Final = select(
    func.coalesce(func.max(publication.c.number), NOTHING_PUBLISHED.number)
).scalar_subquery()
"""The number of the newest publication, as a column for statements that read other things too."""


@dataclass(frozen=True, slots=True)
class PublicationHead:
    """A publication as it stands in the ledger, without its document."""

    number: int
    publication_id: str
    publisher: str
    comment: str
    recorded_at: Instant


@dataclass(frozen=True, slots=True)
class Publication(PublicationHead):
    """A publication as it stands in the ledger, whole."""

    document: str


_HEAD_COLUMNS = (
    publication.c.number,
    publication.c.publication_id,
    publication.c.publisher,
    publication.c.comment,
    publication.c.recorded_at,
)
_COLUMNS = (*_HEAD_COLUMNS, publication.c.document)


def list_newest_publications(
    connection: Connection, below: int, limit: int
) -> Sequence[PublicationHead]:
    """Give at most `limit` publications with numbers below `below`, the newest first."""
    rows = connection.execute(
        select(*_HEAD_COLUMNS)
        .where(publication.c.number < below)
        .order_by(publication.c.number.desc())
        .limit(limit)
    )
    return [PublicationHead(*row) for row in rows]


def get_publication(connection: Connection, number: int) -> Publication:
    """Give one publication. Raises NotFoundError."""
    row = connection.execute(select(*_COLUMNS).where(publication.c.number == number)).one_or_none()
    if row is None:
        message = f"there is no publication {number}"
        raise NotFoundError(
            message,
            ErrorCode.PUBLICATION_NOT_FOUND,
            {"field": "number", "number": str(number)},
        )
    return Publication(*row)


def load_code_numbers(connection: Connection) -> CodeNumbers:
    """Read the numbers of all codes ever published."""
    rows = connection.execute(
        select(code_number.c.code_list, code_number.c.code, code_number.c.number)
    )
    return CodeNumbers({(CodeList(row.code_list), row.code): row.number for row in rows})


class Catalogs:
    """The catalogs of this process: kept once parsed, the newest at hand without asking.

    Safe to be used by several threads.
    """

    def __init__(self, engine: Engine, *, kept_max: int = PUBLICATIONS_KEPT_MAX) -> None:
        """Begin with nothing; the first `refresh` finds what there is.

        Of more than `kept_max` publications those go that were not asked for longest, but never the
        newest.
        """
        self._engine = engine
        self._lock = threading.Lock()
        self._epoch = NO_EPOCH
        # Whoever asks in the middle of a check may not hang with a PostgreSQL that does.
        self._reads = SharedReads(self._read, in_flight_max=READS_IN_FLIGHT_MAX)
        self._newest = NOTHING_PUBLISHED
        self._kept_max = kept_max
        self._by_number: OrderedDict[int, PublishedCatalog] = OrderedDict()

    def newest(self) -> PublishedCatalog:
        """Give the newest publication this process knows of."""
        return self._newest

    def refresh(self, at_least: int | None = None, epoch: int = NO_EPOCH) -> PublishedCatalog:
        """Learn of newer publications, unless `at_least` of `epoch` or of a later one is known.

        Raises UnavailableError when PostgreSQL does not answer in time, and OverloadedError.
        """
        known = None if at_least is None else self.known(at_least, epoch)
        return self._reads.read([_NEWEST])[_NEWEST][_NEWEST] if known is None else known

    def known(self, at_least: int, epoch: int) -> PublishedCatalog | None:
        """Give the newest that is known here, if it is `at_least` of `epoch` or of a later one."""
        newest = self._newest
        return newest if newest.number >= at_least and newest.epoch >= epoch else None

    def _read(self, wanted: Collection[str]) -> Mapping[str, PublishedCatalog]:
        with reading(self._engine) as connection:
            return {
                one: self.newest_in(connection)
                if one == _NEWEST
                else self.by_number(connection, int(one))
                for one in wanted
            }

    def newest_in(self, connection: Connection) -> PublishedCatalog:
        """Give the newest publication that a transaction sees."""
        row = connection.execute(
            select(NEWEST_PUBLICATION.label("number"), installation.c.epoch)
        ).one()
        self.enter_epoch(row.epoch)
        return self.by_number(connection, row.number)

    def known_at(self, connection: Connection, known_at: Instant) -> PublishedCatalog:
        """Give the publication that was the newest as known at an instant."""
        number = connection.scalar(
            select(publication.c.number)
            .where(publication.c.recorded_at <= known_at)
            .order_by(publication.c.number.desc())
            .limit(1)
        )
        return self.by_number(connection, number or 0)

    def get(self, number: int) -> PublishedCatalog:
        """Give one publication; PostgreSQL is asked unless it is kept.

        Raises UnavailableError when PostgreSQL does not answer in time or has no such publication,
        and OverloadedError.
        """
        found = self._kept(number)
        if found is not None:
            return found
        return self._reads.read([str(number)])[str(number)][str(number)]

    def by_number(self, connection: Connection, number: int) -> PublishedCatalog:
        """Give one publication, parsed unless it is kept."""
        found = self._kept(number)
        if found is not None:
            return found
        row = connection.execute(
            select(
                publication.c.content,
                publication.c.recorded_at,
                select(installation.c.epoch).scalar_subquery().label("epoch"),
            ).where(publication.c.number == number)
        ).one_or_none()
        if row is None:
            # Redis or a process may know of one that a restore has taken away.
            message = f"PostgreSQL has no publication {number}"
            raise UnavailableError(message)
        loaded = PublishedCatalog(
            number,
            row.epoch,
            row.recorded_at,
            read_catalog(row.content),
            load_code_numbers(connection),
        )
        return self.remember(loaded)

    def remember(self, loaded: PublishedCatalog) -> PublishedCatalog:
        """Keep a publication that is committed, unless its epoch is over."""
        self.enter_epoch(loaded.epoch)
        with self._lock:
            if loaded.epoch < self._epoch:
                return loaded
            if loaded.number == self._newest.number:
                return self._newest
            kept = self._by_number.setdefault(loaded.number, loaded)
            self._by_number.move_to_end(loaded.number)
            if loaded.number > self._newest.number:
                self._newest = kept
            while len(self._by_number) > self._kept_max:
                self._by_number.popitem(last=False)
            return kept

    def enter_epoch(self, epoch: int) -> None:
        """Forget everything in a later life of the ledger, where numbers may be given anew."""
        with self._lock:
            if epoch > self._epoch:
                self._epoch = epoch
                self._newest = NOTHING_PUBLISHED
                self._by_number.clear()

    def _kept(self, number: int) -> PublishedCatalog | None:
        if number == NOTHING_PUBLISHED.number:
            return NOTHING_PUBLISHED
        with self._lock:
            if number == self._newest.number:
                return self._newest
            found = self._by_number.get(number)
            if found is not None:
                self._by_number.move_to_end(number)
            return found
