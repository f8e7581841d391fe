"""The journal: what was answered to whom, in a table that is parted by time.

What lives here: the rows, their writing and finding, and the removal of who was erased. Which
answers are journalled, and when they are written, is `service`'s business.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Final, NamedTuple

import orjson
import psycopg
from sqlalchemy import Connection, Engine, func, select, text, update

from decision.answer import Answer
from decision.errors import ErrorCode, NotFoundError
from decision.grants import Basis
from decision.instants import Instant
from decision.questions import ContactQuestion, ShareQuestion
from decision.reasons import Reason
from store.database import Query, Rows, run_transaction_asking
from store.ledger_clock import read_now
from store.schema import customer, decision_journal, journal_forgotten

JOURNAL_LOCK: Final = 5_164_009
"""Advisory lock: shared by those who append, and had alone by who removes somebody."""

ERASED_SECONDS: Final = 60
"""An id that nobody has any more is not journalled for so long after an erasure, so that the clocks
of machines may differ by as much."""

QUESTIONS_KEPT_MAX: Final = 1024
WORDINGS_KEPT_MAX: Final = 1024

_MICROSECONDS_PER_SECOND: Final = 1_000_000


class JournalEntry(NamedTuple):
    """One answer: whose question it was, about whom, from what it was made, and what it said.

    `answers` has one for each scope asked about. One whose reason is UNAVAILABLE was no answer: it
    could not be known. Bases are without their products, which are personal and follow from their
    events. `customer_id` is empty once the customer is erased.
    """

    answered_at: Instant
    decision_id: str
    caller: str
    customer_id: str
    question: ContactQuestion | ShareQuestion
    decided_at: Instant
    state_version: int
    publication: int
    is_outside_promise: bool
    answers: Sequence[Answer]
    allowed_channels: Sequence[str]


_COLUMNS: Final = (*JournalEntry._fields[:-2], "answer")


def append(engine: Engine, entries: Sequence[JournalEntry], *, is_repeat: bool) -> None:
    """Append entries; of a repeat those are left out that are there already.

    Whether they were committed is not known when this raises UnavailableError.
    """
    attempts = count(int(is_repeat))

    def work(connection: Connection, answers: Sequence[Rows]) -> None:
        _, [[forgot_at]] = answers
        _append(connection, entries, forgot_at, is_repeat=next(attempts) > 0)

    run_transaction_asking(engine, _BEGIN_APPENDING, work)


_BEGIN_APPENDING: Final = (
    Query(text("SELECT pg_advisory_xact_lock_shared(:lock)"))(lock=JOURNAL_LOCK),
    # A statement of its own: who was removed before we had the lock is not to come back.
    Query(select(journal_forgotten.c.forgot_at))(),
)


def _append(
    connection: Connection,
    entries: Sequence[JournalEntry],
    forgot_at: Instant,
    *,
    is_repeat: bool,
) -> None:
    if is_repeat:
        there = _those_there(connection, entries)
        entries = [entry for entry in entries if entry.decision_id not in there]
    if not entries:
        return
    erased = _those_erased(connection, entries, forgot_at)
    driver: psycopg.Cursor[Any] = connection.connection.cursor()  # type: ignore[assignment]  # SQLAlchemy types the driver's cursor loosely
    with driver as cursor, cursor.copy(_COPY) as copy:
        copy.write(_lines(entries, erased))


_COPY: Final = f"COPY decision_journal ({', '.join(_COLUMNS)}) FROM STDIN".encode()


def _those_there(connection: Connection, entries: Iterable[JournalEntry]) -> set[str]:
    ids = [entry.decision_id for entry in entries]
    return set(
        connection.scalars(
            select(decision_journal.c.decision_id).where(
                decision_journal.c.decision_id == func.any(ids)
            )
        )
    )


def _those_erased(
    connection: Connection, entries: Sequence[JournalEntry], forgot_at: Instant
) -> set[str]:
    """Give the ids of nobody, if ids were forgotten since the first of the entries."""
    slack = ERASED_SECONDS * _MICROSECONDS_PER_SECOND
    if forgot_at < min(entry.answered_at for entry in entries) - slack:
        return set()
    named = {entry.customer_id for entry in entries}
    known = connection.scalars(
        select(customer.c.customer_id).where(customer.c.customer_id == func.any(list(named)))
    )
    return named.difference(known)


def _lines(entries: Iterable[JournalEntry], erased: Collection[str]) -> str:
    """Write entries as COPY reads them. No text of ours has a control character in it.

    By hand, and what many have in common once: this is done for every check.
    """
    lines = []
    asked: ContactQuestion | ShareQuestion | None = None
    asked_json = ""
    for entry in entries:
        (
            answered_at,
            decision_id,
            caller,
            customer_id,
            question,
            decided_at,
            version,
            publication,
            is_outside,
            answers,
            channels,
        ) = entry
        if question is not asked:
            asked, asked_json = question, _question_json(question)
        if customer_id in erased:
            customer_id = ""
        scopes = ",".join([_scope_json(*answer) for answer in answers])
        lines.append(
            f"{answered_at}\t{decision_id}\t{caller}\t{customer_id}\t{asked_json}\t{decided_at}\t"
            f"{version}\t{publication}\t{is_outside}\t"
            f'{{"scopes":[{scopes}],"channels":{_texts_json(tuple(channels))}}}\n'
        )
    return "".join(lines).replace("\\", "\\\\")


@lru_cache(QUESTIONS_KEPT_MAX)
def _question_json(question: ContactQuestion | ShareQuestion) -> str:
    document: dict[str, object]
    if isinstance(question, ContactQuestion):
        document = {"contact": {"purpose": question.purpose, "channel": question.channel}}
    else:
        document = {
            "share": {
                "purpose": question.purpose,
                "partner": question.partner,
                "datasets": list(question.datasets),
            }
        }
    return orjson.dumps(document).decode()


@lru_cache(QUESTIONS_KEPT_MAX)
def _texts_json(texts: tuple[str, ...]) -> str:
    return orjson.dumps(texts).decode()


def _scope_json(reason: Reason, not_after: Instant, basis: Basis | None) -> str:
    if basis is None:
        return _REASONS_JSON[reason]
    event_id, consent_type, wording_version, _, obtained_at, ends_at, _ = basis
    return (
        f'{{"reason":"ALLOWED","not_after":{not_after},"basis":{{'
        f'"event_id":{orjson.dumps(event_id).decode()},'
        f"{_wording_json(consent_type, wording_version)},"
        f'"obtained_at":{obtained_at},"ends_at":{ends_at}}}}}'
    )


# By number, which takes a fraction of looking a member of an enum up.
_REASONS_JSON: Final = [""] * (len(Reason) + 1)
for _reason in Reason:
    _REASONS_JSON[_reason] = f'{{"reason":"{_reason.name}"}}'


@lru_cache(WORDINGS_KEPT_MAX)
def _wording_json(consent_type: str, wording_version: int) -> str:
    written = orjson.dumps(consent_type).decode()
    return f'"consent_type":{written},"wording_version":{wording_version}'


def find(connection: Connection, decision_id: str) -> JournalEntry:
    """Find an answer by its id. Raises NotFoundError."""
    row = connection.execute(
        select(decision_journal).where(decision_journal.c.decision_id == decision_id).limit(1)
    ).one_or_none()
    if row is None:
        message = (
            f"no decision {decision_id!r} is in the journal: it was not journalled, is not written "
            "yet, or is older than the journal goes back"
        )
        raise NotFoundError(message, ErrorCode.DECISION_NOT_FOUND, {"field": "decision_id"})
    return JournalEntry(
        row.answered_at,
        row.decision_id,
        row.caller,
        row.customer_id,
        _read_question(row.question),
        row.decided_at,
        row.state_version,
        row.publication,
        row.is_outside_promise,
        [_read_answer(scope) for scope in row.answer["scopes"]],
        row.answer["channels"],
    )


def _read_question(document: dict[str, Any]) -> ContactQuestion | ShareQuestion:
    if "contact" in document:
        return ContactQuestion(**document["contact"])
    share = document["share"]
    return ShareQuestion(share["purpose"], share["partner"], tuple(share["datasets"]))


def _read_answer(document: dict[str, Any]) -> Answer:
    reason = Reason[document["reason"]]
    basis = document.get("basis")
    if basis is None:
        return Answer(reason)
    return Answer(
        reason,
        document["not_after"],
        Basis(
            basis["event_id"],
            basis["consent_type"],
            basis["wording_version"],
            None,
            basis["obtained_at"],
            basis["ends_at"],
        ),
    )


def forget(connection: Connection, customer_ids: Collection[str]) -> None:
    """Remove customer ids: that something was answered stays, and no longer about whom.

    Answers that still wait to be written find by the instant that they have to leave ids out too.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": JOURNAL_LOCK})
    connection.execute(update(journal_forgotten).values(forgot_at=read_now(connection)))
    connection.execute(
        update(decision_journal)
        .where(decision_journal.c.customer_id == func.any(list(customer_ids)))
        .values(customer_id="")
    )
