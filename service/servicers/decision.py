"""DecisionService: checks, batches and audiences; lists and explanations are next door."""

from collections.abc import Iterator
from typing import Final

import grpc
import numpy as np
from maywe.v1 import decision_pb2, decision_pb2_grpc

from decision.errors import FieldFault, InvalidArgumentError
from decision.reasons import Reason
from service.audiences import AudienceDecider
from service.batches import BatchDecider
from service.checking import Checker
from service.composition import Application
from service.conversion import decisions
from service.conversion.batches import batch_checks, batch_response
from service.errors import StreamOrderError
from service.reading_ahead import ReadAhead
from service.servicers.explaining import explain
from service.servicers.listing import list_allowed
from store.bulk_reading import BulkReader

CHECKS_PER_BATCH_MAX: Final = 1000
CUSTOMERS_PER_CHUNK_MAX: Final = 10_000

CHUNKS_AHEAD_MAX: Final = 1
"""Chunks of a stream that are asked for in Redis before the one before them is answered."""


class DecisionServicer(decision_pb2_grpc.DecisionServiceServicer):
    """Answers questions about customers."""

    def __init__(self, application: Application) -> None:
        """Answer from the stores of an application."""
        self._application = application
        self._checker = Checker(application.reader, application.catalogs)
        self._bulk = BulkReader(
            application.stores.check_cache, application.catalogs, application.keeper
        )
        self._batches = BatchDecider(self._bulk, self._checker)

    def MayContact(
        self, request: decision_pb2.MayContactRequest, context: grpc.ServicerContext
    ) -> decision_pb2.MayContactResponse:
        """Answer whether we may contact a customer by a channel for a purpose."""
        return decisions.contact_response(self._checker.decide(decisions.contact_check(request)))

    def MayShare(
        self, request: decision_pb2.MayShareRequest, context: grpc.ServicerContext
    ) -> decision_pb2.MayShareResponse:
        """Answer whether we may share data sets of a customer with a partner."""
        check = decisions.share_check(request)
        return decisions.share_response(self._checker.decide(check), tuple(request.datasets))

    def BatchCheck(
        self, request: decision_pb2.BatchCheckRequest, context: grpc.ServicerContext
    ) -> decision_pb2.BatchCheckResponse:
        """Answer many questions, each by itself."""
        count = len(request.checks)
        if not 1 <= count <= CHECKS_PER_BATCH_MAX:
            problem = f"a batch has 1 to {CHECKS_PER_BATCH_MAX} questions, not {count}"
            raise InvalidArgumentError(FieldFault("checks", problem))
        checks = batch_checks(request.checks)
        return batch_response(self._batches.decide_each(checks))

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
                counts += np.bincount(decided.reasons, minlength=len(counts))
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
