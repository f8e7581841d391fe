"""ListAllowed: everybody of whom the answer is ALLOW, as a stream that can be gone on with.

What lives here: the stream's messages and its cursor. Who is allowed is read by `store.listing`.
"""

from collections.abc import Iterator
from typing import Final

from maywe.v1 import decision_pb2

from decision.errors import FieldFault, InvalidArgumentError
from decision.instants import Instant
from decision.questions import ProcessQuestion, Question
from service.application import Application
from service.asked import CheckQuestion
from service.checking import Checker
from service.conversion.evidence import read_question
from service.conversion.reading import optional_instant
from service.conversion.timestamps import timestamp
from service.errors import ShuttingDownError
from store import listing
from store.cursors import CursorKind, decode_cursor, encode_cursor
from store.token import decode_token

CHUNK_SIZE_DEFAULT: Final = 1000

BEFORE_EVERYBODY: Final = 0
"""Comes before every subject."""


def list_allowed(
    application: Application, request: decision_pb2.ListAllowedRequest
) -> Iterator[decision_pb2.ListAllowedResponse]:
    """Stream everybody who is allowed, each chunk read and judged when it is sent.

    None is read ahead: who takes chunks slowly would receive those who were allowed long before.
    Raises InvalidArgumentError, UnavailableError, and ShuttingDownError when the server stops.
    """
    at = optional_instant("at", request)
    question = _faultless(application, read_question(request), at)
    size = _chunk_size(request.chunk_size)
    if request.token:
        # PostgreSQL's primary holds every write that was ever answered with a token.
        decode_token(request.token)
    asked = [str(scope) for scope in question.scopes]
    after = BEFORE_EVERYBODY
    if request.cursor:
        (after,) = decode_cursor("cursor", CursorKind.ALLOWED, asked, request.cursor, 1)
    sent = 0
    for chunk in _chunks(application, question, at, after, size):
        sent += len(chunk.customer_ids)
        cursor = encode_cursor(CursorKind.ALLOWED, asked, [chunk.next_after])
        yield _chunk_message(chunk, cursor)
    yield decision_pb2.ListAllowedResponse(end=decision_pb2.AllowedEnd(customer_count=sent))


def _chunks(
    application: Application, question: CheckQuestion, at: Instant | None, after: int, size: int
) -> Iterator[listing.AllowedChunk]:
    while True:
        if application.stopping.is_set():
            raise ShuttingDownError
        chunk = listing.list_allowed(
            application.engine, application.catalogs, question.scopes, at, after, size
        )
        yield chunk
        if chunk.is_last:
            return
        after = chunk.next_after


def _faultless(application: Application, question: Question, at: Instant | None) -> CheckQuestion:
    if isinstance(question, ProcessQuestion):
        raise InvalidArgumentError(FieldFault("question", "ask contact or share"))
    Checker(application.reader, application.catalogs).refuse_faulty_question(question, at)
    return question


def _chunk_size(asked: int) -> int:
    if not 0 <= asked <= listing.CHUNK_SIZE_MAX:
        problem = f"has to lie between 1 and {listing.CHUNK_SIZE_MAX}, or be left out"
        raise InvalidArgumentError(FieldFault("chunk_size", problem))
    return asked or CHUNK_SIZE_DEFAULT


def _chunk_message(chunk: listing.AllowedChunk, cursor: str) -> decision_pb2.ListAllowedResponse:
    return decision_pb2.ListAllowedResponse(
        chunk=decision_pb2.AllowedChunk(
            customer_ids=chunk.customer_ids,
            cursor=cursor,
            decided_at=timestamp(chunk.decided_at),
        )
    )
