"""Handing in catalog documents, so that somebody else publishes them: the rule of four eyes.

What lives here: who handed in which document, by its hash, to follow which publication. Handing in
changes nothing else.
"""

from hashlib import sha256

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert as upsert

from decision.errors import ErrorCode, PreconditionError
from store.clocks import wall_clock
from store.database import run_transaction
from store.schema import handed_in_document


def hand_in(engine: Engine, document: str, newest_number: int, caller: str) -> None:
    """Record that a caller hands a document in, to the letter; a second time changes nothing.

    `newest_number` is the publication that it was compared with, and that it may follow.
    """

    def work(connection: Connection) -> None:
        connection.execute(
            upsert(handed_in_document)
            .values(
                document_hash=_hash(document),
                newest_number=newest_number,
                caller=caller,
                handed_in_at=wall_clock(),
            )
            .on_conflict_do_nothing()
        )

    run_transaction(engine, work)


def refuse_unless_handed_in(
    connection: Connection, document: str, newest_number: int, publisher: str
) -> None:
    """Raise PreconditionError unless somebody other than `publisher` handed a document in.

    What was handed in before the newest publication counts no more: its effect was another, and who
    publishes could alone bring back any catalog of before.
    """
    found = connection.scalar(
        select(handed_in_document.c.caller)
        .where(handed_in_document.c.document_hash == _hash(document))
        .where(handed_in_document.c.newest_number == newest_number)
        .where(handed_in_document.c.caller != publisher)
        .limit(1)
    )
    if found is None:
        message = (
            "four eyes are required, and nobody but the publisher has handed this document in "
            f"since publication {newest_number}: have an editor preview it with hand_in"
        )
        raise PreconditionError(message, ErrorCode.NOT_HANDED_IN, {"field": "document"})


def _hash(document: str) -> bytes:
    return sha256(document.encode()).digest()
