"""Questions that share a round trip: what each of them sees, and what becomes of a failed one."""

from collections.abc import Iterator, Sequence

import psycopg
import pytest
from sqlalchemy import Connection, Engine, bindparam, func, select, text

from decision.errors import UnavailableError
from store.database import (
    ATTEMPTS_MAX,
    COMMIT,
    Query,
    RetryTransactionError,
    Rows,
    ask,
    insert_rows,
    open_engine,
    reading,
    run_transaction_asking,
    send,
    unawaited,
)
from store.schema import customer

pytestmark = pytest.mark.integration

CUSTOMERS = Query(select(customer.c.customer_id).order_by(customer.c.customer_id))
WHO_HAS = Query(
    select(customer.c.customer_id).where(customer.c.subject == func.any(bindparam("subjects")))
)
ISOLATION = Query(text("SELECT current_setting('transaction_isolation') AS level"))
PREPARED = Query(text("SELECT count(*) AS count FROM pg_prepared_statements"))


@pytest.fixture
def two_by_default(engine: Engine) -> Iterator[Engine]:
    """Connections to a database whose transactions are REPEATABLE READ unless told otherwise."""
    url = engine.url.render_as_string(hide_password=False)
    opened = open_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                f'ALTER DATABASE "{engine.url.database}" SET default_transaction_isolation = '
                "'repeatable read'"
            )
        )
    yield opened
    opened.dispose()


def add(connection: Connection, customer_id: str, number: int) -> None:
    """Add a customer."""
    insert_rows(connection, "customer", ("customer_id", "subject"), [(customer_id, number)])


def customers(engine: Engine) -> list[str]:
    """Whoever is committed."""
    with reading(engine) as connection:
        [rows] = ask(connection, [CUSTOMERS()])
    return [row.customer_id for row in rows]


def test_each_question_has_its_own_answer(engine: Engine) -> None:
    """In the order asked, each by its own parameters, and none where there is nothing."""
    with engine.begin() as connection:
        add(connection, "anna", 1)
        add(connection, "boris", 2)
        found = ask(connection, [WHO_HAS(subjects=[2]), WHO_HAS(subjects=[3]), CUSTOMERS()])
    assert [[row.customer_id for row in rows] for rows in found] == [
        ["boris"],
        [],
        ["anna", "boris"],
    ]


def test_what_is_asked_first_is_asked_in_the_transaction(two_by_default: Engine) -> None:
    """In which every statement sees what is committed by then, whatever the server's default."""

    def work(connection: Connection, answers: Sequence[Rows]) -> list[str]:
        [[level], []] = answers
        assert level.level == "read committed"
        add(connection, "anna", 1)
        with two_by_default.begin() as other:
            add(other, "boris", 2)
        return [row.customer_id for row in ask(connection, [CUSTOMERS()])[0]]

    seen = run_transaction_asking(two_by_default, [ISOLATION(), CUSTOMERS()], work)
    assert seen == ["anna", "boris"]
    assert customers(two_by_default) == ["anna", "boris"]


def test_whatever_fails_takes_everything_back(engine: Engine) -> None:
    """What was written before it, and what was sent with it before the commit."""

    def work(connection: Connection, _: Sequence[Rows]) -> None:
        add(connection, "anna", 1)
        with unawaited(connection):
            add(connection, "boris", 2)
            send(connection, Query(text("SELECT 1 / 0 AS nothing"))())
            send(connection, COMMIT)

    with pytest.raises(psycopg.errors.DivisionByZero):
        run_transaction_asking(engine, [CUSTOMERS()], work)
    assert customers(engine) == []


def test_a_commit_goes_with_the_last_statements(engine: Engine) -> None:
    """And the connection can be used as before afterwards."""

    def work(connection: Connection, _: Sequence[Rows]) -> None:
        with unawaited(connection):
            add(connection, "anna", 1)
            send(connection, COMMIT)
        assert customers(engine) == ["anna"]

    run_transaction_asking(engine, [CUSTOMERS()], work)
    with engine.connect() as connection:
        add(connection, "boris", 2)
        connection.rollback()
    assert customers(engine) == ["anna"]


def test_what_meets_another_is_asked_anew(engine: Engine) -> None:
    """With the questions, whose answers may be others by then; and not for ever."""
    asked: list[list[str]] = []

    def work(connection: Connection, answers: Sequence[Rows]) -> None:
        asked.append([row.customer_id for row in answers[0]])
        if len(asked) == 1:
            with engine.begin() as other:
                add(other, "anna", 1)
        add(connection, "anna", 1)

    with pytest.raises(UnavailableError):
        run_transaction_asking(engine, [CUSTOMERS()], work)
    assert asked == [[], *[["anna"]] * (ATTEMPTS_MAX - 1)]


def test_a_transaction_may_ask_to_be_run_again(engine: Engine) -> None:
    """Nothing of the first time is left."""
    times: list[int] = []

    def work(connection: Connection, _: Sequence[Rows]) -> None:
        times.append(len(times))
        add(connection, f"customer {len(times)}", len(times))
        if len(times) == 1:
            raise RetryTransactionError

    run_transaction_asking(engine, [CUSTOMERS()], work)
    assert customers(engine) == ["customer 2"]


def test_reading_keeps_what_the_connection_has_learned(engine: Engine) -> None:
    """Statements that are asked again and again are prepared once, and stay so."""
    one = open_engine(engine.url.render_as_string(hide_password=False), connections_max=1)
    try:
        for _ in range(10):
            with reading(one) as connection:
                ask(connection, [CUSTOMERS()])
        with reading(one) as connection:
            [[prepared]] = ask(connection, [PREPARED()])
        assert prepared.count >= 1
    finally:
        one.dispose()
