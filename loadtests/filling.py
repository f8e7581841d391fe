"""Filling an installation with customers: through the import, and beyond that by cloning.

What lives here: the one way in which measurements get their customers. The first of them come
through `maywe import` like any others. Further ones are copies, made inside PostgreSQL, of what
those have there (ids, state with its record, permissions), under ids of their own: every record is
one that an import made, whatever its form, and a million take minutes instead of hours. Copies have
no events in the ledger; they can be asked about, but not written to or rolled out.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import psycopg
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
    insert,
    select,
    text,
)

from loadtests.installation import Installation, Server
from loadtests.population import CATALOG_PATH, MAPPING_PATH, customer_id, write_history
from store.schema import customer, permission, state, subject
from store.sharding import shard_of

IMPORTED_CUSTOMERS_MAX: Final = 10_000
"""So many come through the import; more would be no more different from each other."""

ROLL_OUT_SECONDS_MAX: Final = 600

_CLONE: Final = Table(
    "bench_clone",
    MetaData(),
    Column("template", BigInteger),
    Column("number", BigInteger),
    Column("shard", SmallInteger),
    Column("customer_id", Text),
)
"""Which copy is made of which subject."""


def publish_catalog(installation: Installation, writer: Server) -> None:
    """Publish the catalog of the measurements, and wait until it counts everywhere."""
    installation.run(
        *("catalog", "publish", str(CATALOG_PATH), "--publisher", "bench", "--comment", ""),
        *("--wait", "--wait-seconds", str(ROLL_OUT_SECONDS_MAX)),
        server=writer,
    )


def import_customers(installation: Installation, writer: Server, first: int, count: int) -> None:
    """Import the history of so many customers from a number on."""
    path = installation.directory / f"history-{first}.csv"
    write_history(path, first, count)
    installation.run("import", str(path), "--mapping", str(MAPPING_PATH), server=writer)
    path.unlink()


def fill(installation: Installation, customers: int, *, has_permissions: bool = True) -> None:
    """Publish the catalog, and have so many customers in PostgreSQL and in Redis.

    `has_permissions`: whether copies have rows in the index of permissions, which only reverse
    questions (`ListAllowed`) read.
    """
    imported = min(customers, IMPORTED_CUSTOMERS_MAX)
    with installation.serving("writer") as [writer]:
        publish_catalog(installation, writer)
        import_customers(installation, writer, 0, imported)
        installation.wait_until_caught_up()
    with installation.engine.begin() as connection:
        if customers > imported:
            _clone(connection, imported, customers, has_permissions=has_permissions)
    engine = installation.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # What would be done in the background, while something is measured, is done now.
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))
    installation.run("cache", "warm")


def _clone(connection: Connection, imported: int, customers: int, *, has_permissions: bool) -> None:
    """Copy the first `imported` customers until there are `customers` of them."""
    ids = [customer_id(number) for number in range(imported)]
    subjects = {
        row.customer_id: row.subject
        for row in connection.execute(
            select(customer).where(customer.c.customer_id == func.any(ids))
        )
    }
    templates = [subjects[found] for found in ids]
    count = customers - imported
    last = connection.scalar(
        text("SELECT setval('subject_number', nextval('subject_number') + :count)"),
        {"count": count},
    )
    first = int(last or 0) - count
    _CLONE.create(connection)
    copy_rows(
        connection,
        _CLONE.name,
        (
            (templates[number % imported], first + number - imported, shard_of(found), found)
            for number in range(imported, customers)
            for found in [customer_id(number)]
        ),
    )
    number, shard = _CLONE.c.number, _CLONE.c.shard
    its_id = {"customer_id": _CLONE.c.customer_id, "subject": number}
    _clone_rows(connection, customer.c.subject, its_id)
    itself = {"number": number, "shard": shard, "root": number}
    _clone_rows(connection, subject.c.number, itself)
    _clone_rows(connection, state.c.subject, {"subject": number, "shard": shard})
    if has_permissions:
        _clone_rows(connection, permission.c.subject, {"subject": number})
    _CLONE.drop(connection)


def _clone_rows(
    connection: Connection, key: Column[Any], replaced: Mapping[str, Column[Any]]
) -> None:
    """Copy the rows of every template in the table of `key`, some columns replaced."""
    table = key.table
    columns = [column.name for column in table.c]
    rows = select(*(replaced.get(column.name, column) for column in table.c)).select_from(
        _CLONE.join(table, key == _CLONE.c.template)
    )
    connection.execute(insert(table).from_select(columns, rows))


def copy_rows(connection: Connection, table: str, rows: Iterable[Sequence[object]]) -> None:
    """Append rows to a table of ours with COPY."""
    cursor: psycopg.Cursor[Any] = connection.connection.cursor()  # type: ignore[assignment]  # SQLAlchemy types the driver's cursor loosely
    with cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)
