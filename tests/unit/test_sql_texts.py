"""SQL is parametrised only: nowhere in the code is a statement put together from what comes in."""

from pathlib import Path
from typing import Final

import pytest

from tests.sql_texts import findings_in, findings_of

ROOT: Final = Path(__file__).parents[2]

ALLOWED: Final = {
    ("store/database.py", "insert_rows"): "names of tables and columns, which are in the code",
    ("store/journal.py", "_append"): "names of columns, which are in the code",
    ("store/migrations/versions/before_0001_ledger.py", "upgrade"): "names of tables, as above",
}
"""Functions in which texts are put together, and of what."""


def test_every_statement_is_written_out_or_an_expression() -> None:
    """Whatever is asked about goes beside it, as a parameter."""
    found = findings_in(ROOT, ("store", "service", "decision"))
    assert [one for one in found if (one.path, one.function) not in ALLOWED] == []
    # An exception that is of no use any more is taken out.
    assert {(one.path, one.function) for one in found} == set(ALLOWED)


@pytest.mark.parametrize(
    "code",
    [
        "connection.execute(text(f'SELECT {name}'))",
        "connection.execute(text('SELECT ' + name + 1 * 'x'))",
        "connection.execute('SELECT %s' % name)",
        "connection.execute('SELECT {}'.format(name))",
        "connection.execute(', '.join(names))",
        "driver.execute(b'SELECT %b' % name)",
        "op.execute(f'LOCK TABLE {table}')",
        "statement = 'SELECT ' + f'{name}'\n    connection.execute(statement)",
        "statement = 'SELECT'\n    statement += f' {name}'\n    connection.execute(statement)",
        "cursor.copy(f'COPY {table} FROM STDIN')",
        "Question(f'SELECT {name}'.encode())",
        "select(literal_column(f'{name}'))",
        "connection.execute(text(STATEMENT.replace('x', name)))",
    ],
)
def test_a_statement_that_is_put_together_is_found(code: str) -> None:
    """In every way that has been seen somewhere."""
    assert findings_of(f"STATEMENT = 'SELECT x'\ndef work(name, table):\n    {code}\n")


@pytest.mark.parametrize(
    "code",
    [
        "connection.execute(text('SELECT :name'), {'name': name})",
        "connection.execute(select(table).where(table.c.name == name))",
        "connection.execute(text(f'SELECT {CLOCK} AS now'))",
        "driver.execute(b'SET LOCAL statement_timeout = %d' % name)",
        "driver.execute(sql.SQL('CREATE DATABASE {}').format(sql.Identifier(name)))",
        "connection.execute(STATEMENT, {'name': name})",
        "statement = select(table)\n    connection.execute(statement)",
    ],
)
def test_a_statement_with_parameters_passes(code: str) -> None:
    """And expressions, which have no texts in them."""
    head = "CLOCK = 'now()'\nSTATEMENT = text(f'SELECT :name, {CLOCK}')\n"
    assert not findings_of(f"{head}def work(name, table):\n    {code}\n")
