"""Publications as the ledger keeps them, and the newest one as every process keeps it in memory."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from decision.catalog import EMPTY_CATALOG, Catalog
from decision.catalog_document import read_catalog
from decision.catalog_history import CodeList
from decision.errors import ErrorCode, NotFoundError
from decision.instants import BEGINNING, Instant
from store.code_numbers import CodeNumbers
from store.database import reading
from store.schema import code_number, publication


@dataclass(frozen=True, slots=True)
class PublishedCatalog:
    """A publication ready for use. Number 0, before the first publication, knows no codes."""

    number: int
    recorded_at: Instant
    catalog: Catalog
    numbers: CodeNumbers


NOTHING_PUBLISHED = PublishedCatalog(0, BEGINNING, EMPTY_CATALOG, CodeNumbers({}))


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


def list_publications(connection: Connection, known_at: Instant) -> Sequence[Publication]:
    """Give every publication recorded at or before `known_at`, oldest first."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(publication.c.recorded_at <= known_at)
        .order_by(publication.c.number)
    )
    return [Publication(*row) for row in rows]


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
    """The catalogs of this process: parsed once each, the newest at hand without asking."""

    def __init__(self, engine: Engine) -> None:
        """Begin with nothing; the first `refresh` finds what there is."""
        self._engine = engine
        self._lock = threading.Lock()
        self._newest = NOTHING_PUBLISHED
        self._by_number: dict[int, PublishedCatalog] = {0: NOTHING_PUBLISHED}

    def newest(self) -> PublishedCatalog:
        """Give the newest publication this process knows of."""
        return self._newest

    def refresh(self, at_least: int | None = None) -> PublishedCatalog:
        """Learn of newer publications, unless `at_least` is known already.

        Raises UnavailableError when PostgreSQL does not answer.
        """
        if at_least is not None and self._newest.number >= at_least:
            return self._newest
        with reading(self._engine) as connection:
            return self.newest_in(connection)

    def newest_in(self, connection: Connection) -> PublishedCatalog:
        """Give the newest publication that a transaction sees."""
        number = connection.scalar(
            select(publication.c.number).order_by(publication.c.number.desc()).limit(1)
        )
        return self.by_number(connection, number or 0)

    def known_at(self, connection: Connection, known_at: Instant) -> PublishedCatalog:
        """Give the publication that was the newest as known at an instant."""
        number = connection.scalar(
            select(publication.c.number)
            .where(publication.c.recorded_at <= known_at)
            .order_by(publication.c.number.desc())
            .limit(1)
        )
        return self.by_number(connection, number or 0)

    def by_number(self, connection: Connection, number: int) -> PublishedCatalog:
        """Give one publication, parsed the first time it is asked for."""
        found = self._by_number.get(number)
        if found is not None:
            return found
        row = connection.execute(
            select(publication.c.content, publication.c.recorded_at).where(
                publication.c.number == number
            )
        ).one()
        loaded = PublishedCatalog(
            number, row.recorded_at, read_catalog(row.content), load_code_numbers(connection)
        )
        return self.remember(loaded)

    def remember(self, loaded: PublishedCatalog) -> PublishedCatalog:
        """Keep a publication that is committed."""
        with self._lock:
            self._by_number.setdefault(loaded.number, loaded)
            if loaded.number > self._newest.number:
                self._newest = loaded
            return self._by_number[loaded.number]
