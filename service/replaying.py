"""Replaying: an answer of the journal, made again from the ledger.

What lives here: folding the events that the answer's state was made of under the catalog that it
rested on, judging at its instant, and telling what differs. Nothing that is kept ready is looked
at: neither Redis nor the states in PostgreSQL.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from decision.answer import Answer
from decision.errors import ErrorCode, PreconditionError
from decision.instants import Instant
from decision.questions import ContactQuestion
from decision.reasons import Reason
from service.asked import ask
from service.stores import Stores
from store.database import reading
from store.journal import JournalEntry, find
from store.knowledge import (
    Knowledge,
    draw_now,
    load_knowledge,
    load_knowledge_under,
    wait_for_person,
)
from store.positions import BEFORE_EVERYTHING, Position, find_position
from store.publications import Catalogs

_NOBODYS_VERSION: Final = 0


class Replay(NamedTuple):
    """An answer, and the same made again from the events up to `position`.

    `differences` names what is another in it. `answers_known_then` are those of everything that
    had been recorded when the answer was given, where they are others than `answers`.
    """

    entry: JournalEntry
    answers: Sequence[Answer]
    allowed_channels: Sequence[str]
    differences: Sequence[str]
    position: Position
    answers_known_then: Sequence[Answer] | None


def replay(stores: Stores, decision_id: str) -> Replay:
    """Make an answer again.

    Raises NotFoundError when the journal does not have it, PreconditionError when there is nothing
    to make it of, and UnavailableError.
    """
    with reading(stores.engine) as connection:
        entry = find(connection, decision_id)
    _refuse_what_can_not_be_replayed(entry)
    answered_at = min(entry.answered_at, draw_now(stores.engine))
    wait_for_person(stores.engine, entry.customer_id, [answered_at])
    with reading(stores.engine) as connection:
        return _Replaying(connection, stores.catalogs, entry, answered_at).replay()


def _refuse_what_can_not_be_replayed(entry: JournalEntry) -> None:
    if any(answer.reason is Reason.UNAVAILABLE for answer in entry.answers):
        message = "the decision was UNDETERMINED: there is no answer to make again"
        raise PreconditionError(message, ErrorCode.NOTHING_ANSWERED, {"field": "decision_id"})
    if not entry.customer_id:
        message = "the customer was erased since: nothing is left to make the answer of"
        raise PreconditionError(message, ErrorCode.CUSTOMER_ERASED, {"field": "decision_id"})


class _Replaying:
    def __init__(
        self,
        connection: Connection,
        catalogs: Catalogs,
        entry: JournalEntry,
        answered_at: Instant,
    ) -> None:
        self._connection = connection
        self._catalogs = catalogs
        self._entry = entry
        self._answered_at = answered_at
        self._published = catalogs.by_number(connection, entry.publication)
        self._asked = ask(entry.question, self._published)

    def replay(self) -> Replay:
        entry = self._entry
        position = self._position()
        known = load_knowledge_under(
            self._connection, self._published, entry.customer_id, position.known_at
        )
        answers = self._answers(known)
        channels = self._channels(known)
        then = self._answers(
            load_knowledge(self._connection, self._catalogs, entry.customer_id, self._answered_at)
        )
        return Replay(
            entry,
            answers,
            channels,
            _differences(entry, answers, channels),
            position,
            None if then == answers else then,
        )

    def _position(self) -> Position:
        """Find up to where the events go that the state of the answer was made of."""
        entry = self._entry
        if entry.state_version != _NOBODYS_VERSION:
            return find_position(
                self._connection, entry.customer_id, entry.state_version, entry.answered_at
            )
        # Whoever is unknown, as when every event is void, is answered without a version.
        known = load_knowledge_under(
            self._connection, self._published, entry.customer_id, self._answered_at
        )
        is_unknown = not known.picture.folded.is_known
        return Position(self._answered_at if is_unknown else BEFORE_EVERYTHING, is_exact=True)

    def _answers(self, known: Knowledge) -> list[Answer]:
        scopes = self._entry.question.scopes
        return [
            _without_product(answer)
            for answer in known.picture.answers(scopes, self._entry.decided_at)
        ]

    def _channels(self, known: Knowledge) -> list[str]:
        if not isinstance(self._entry.question, ContactQuestion):
            return []
        scopes = [scope for _, scope in self._asked.channels]
        answers = known.picture.answers(scopes, self._entry.decided_at)
        return [
            code
            for (code, _), answer in zip(self._asked.channels, answers, strict=True)
            if answer.is_allowed
        ]


def _without_product(answer: Answer) -> Answer:
    """Leave out of an answer what the journal does not keep of it."""
    if answer.basis is None:
        return answer
    return answer._replace(basis=answer.basis._replace(product=None, matrix_row_id=""))


def _differences(
    entry: JournalEntry, answers: Sequence[Answer], channels: Sequence[str]
) -> list[str]:
    """Name what differs between an answer and what the ledger says."""
    pairs = list(zip(entry.answers, answers, strict=True))
    differing = {
        "verdict": any(given.verdict != again.verdict for given, again in pairs),
        "reason": any(given.reason != again.reason for given, again in pairs),
        "not_after": any(given.not_after != again.not_after for given, again in pairs),
        "basis": any(given.basis != again.basis for given, again in pairs),
        "allowed_channels": list(entry.allowed_channels) != list(channels),
    }
    return [name for name, is_other in differing.items() if is_other]
