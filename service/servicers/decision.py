"""DecisionService: checks, batches and audiences; lists and explanations are next door."""

from collections.abc import Iterator
from typing import Final, TypeVar

import grpc
import numpy as np
from maywe.v1 import decision_pb2, decision_pb2_grpc

from decision.errors import FieldFault, InvalidArgumentError
from decision.reasons import Reason
from service.application import Application
from service.audiences import AudienceDecider
from service.batches import BatchDecider
from service.checking import Check, Checker, Decision
from service.conversion import decisions
from service.conversion.batches import batch_checks, batch_response
from service.errors import StreamOrderError
from service.journalling import decider_of
from service.reading_ahead import ReadAhead
from service.receipts.claims import Request
from service.receipts.signing import no_receipt_key
from service.servicers.explaining import explain
from service.servicers.listing import list_allowed
from store.bulk_reading import BulkReader

CHECKS_PER_BATCH_MAX: Final = 1000
CUSTOMERS_PER_CHUNK_MAX: Final = 10_000

CHUNKS_AHEAD_MAX: Final = 1
"""Chunks of a stream that are asked for in Redis before the one before them is answered."""


_Response = TypeVar("_Response", decision_pb2.MayContactResponse, decision_pb2.MayShareResponse)


class DecisionServicer(decision_pb2_grpc.DecisionServiceServicer):
    """Answers questions about customers."""

    def __init__(self, application: Application) -> None:
        """Answer from the stores of an application."""
        self._application = application
        self._checker = Checker(application.reader, application.catalogs)
        self._bulk = BulkReader(
            application.stores.check_cache,
            application.catalogs,
            application.keeper,
            application.instruments.meters.lookups,
        )
        self._batches = BatchDecider(self._bulk, self._checker)
        self._journal = application.journal
        self._signer = application.signer
        self._decide = decider_of(self._checker, application.journal)

    def MayContact(
        self, request: decision_pb2.MayContactRequest, context: grpc.ServicerContext
    ) -> decision_pb2.MayContactResponse:
        """Answer whether we may contact a customer by a channel for a purpose."""
        check = decisions.contact_check(request)
        if request.receipt:
            decision = self._decide_for_receipt(check)
            return self._with_receipt(request, decisions.contact_response(decision), decision)
        return decisions.contact_response(self._decide(check))

    def MayShare(
        self, request: decision_pb2.MayShareRequest, context: grpc.ServicerContext
    ) -> decision_pb2.MayShareResponse:
        """Answer whether we may share data sets of a customer with a partner."""
        check = decisions.share_check(request)
        if request.receipt:
            decision = self._decide_for_receipt(check)
            response = decisions.share_response(decision, tuple(request.datasets))
            return self._with_receipt(request, response, decision)
        return decisions.share_response(self._decide(check), tuple(request.datasets))

    def _decide_for_receipt(self, check: Check) -> Decision:
        """Answer a check whose answer is to be shown to others, so that a sample has it too."""
        if self._signer is None:
            raise no_receipt_key()
        decision = self._checker.decide(check)
        if self._journal is not None:
            self._journal.add(check, decision, is_chosen=True)
        return decision

    def _with_receipt(self, request: Request, response: _Response, decision: Decision) -> _Response:
        if self._signer is None:
            raise no_receipt_key()
        published = self._application.catalogs.get(decision.publication)
        response.receipt = self._signer.sign(request, response, published)
        return response

    def BatchCheck(
        self, request: decision_pb2.BatchCheckRequest, context: grpc.ServicerContext
    ) -> decision_pb2.BatchCheckResponse:
        """Answer many questions, each by itself."""
        count = len(request.checks)
        if not 1 <= count <= CHECKS_PER_BATCH_MAX:
            problem = f"a batch has 1 to {CHECKS_PER_BATCH_MAX} questions, not {count}"
            raise InvalidArgumentError(FieldFault("checks", problem))
        checks = batch_checks(request.checks)
        decided = self._batches.decide_each(checks)
        if self._journal is not None:
            self._journal.add_batch(checks, decided)
        self._application.instruments.meters.count_batch(decided)
        return batch_response(decided)

    def FilterAudience(
        self,
        request_iterator: Iterator[decision_pb2.FilterAudienceRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[decision_pb2.FilterAudienceResponse]:
        """Answer one question for each customer of a stream of chunks."""
        first = next(request_iterator, None)
        received = "the end" if first is None else first.WhichOneof("part") or "an empty message"
        if first is None or received != "question":
            raise StreamOrderError("question", received)
        check = decisions.audience_check(first.question)
        self._checker.refuse_faulty_question(check.question, check.at)
        decider = AudienceDecider(self._bulk, self._application.reader, check)
        counts = np.zeros(len(Reason) + 1, np.int64)
        # The next chunk is on its way from Redis while this one is decided and sent.
        chunks = ReadAhead(
            (decider.begin(_chunk(request)) for request in request_iterator),
            CHUNKS_AHEAD_MAX,
            decider.drop,
        )
        context.add_callback(chunks.close)
        try:
            for chunk in chunks:
                decided = decider.finish(chunk)
                of_chunk = np.bincount(decided.reasons, minlength=len(counts))
                self._application.instruments.meters.count_audience(of_chunk.tolist())
                counts += of_chunk
                yield decisions.verdicts_response(decided)
        finally:
            chunks.close()
        found = {Reason(number): int(counts[number]) for number in np.flatnonzero(counts).tolist()}
        yield decision_pb2.FilterAudienceResponse(end=decisions.audience_end_message(found))

    def ListAllowed(
        self, request: decision_pb2.ListAllowedRequest, context: grpc.ServicerContext
    ) -> Iterator[decision_pb2.ListAllowedResponse]:
        """List the customers of whom the answer is ALLOW."""
        return list_allowed(self._application, request)

    def Explain(
        self, request: decision_pb2.ExplainRequest, context: grpc.ServicerContext
    ) -> decision_pb2.ExplainResponse:
        """Explain an answer as of any instant, as known at any other."""
        return explain(self._application, request)


def _chunk(request: decision_pb2.FilterAudienceRequest) -> list[str]:
    if request.WhichOneof("part") != "chunk":
        raise StreamOrderError("chunk", request.WhichOneof("part") or "an empty message")
    count = len(request.chunk.customer_ids)
    if not 1 <= count <= CUSTOMERS_PER_CHUNK_MAX:
        problem = f"a chunk has 1 to {CUSTOMERS_PER_CHUNK_MAX} customer ids, not {count}"
        raise InvalidArgumentError(FieldFault("chunk.customer_ids", problem))
    return list(request.chunk.customer_ids)
