"""JournalService: answers of before, found by their ids and made again."""

import grpc
from maywe.v1 import journal_pb2, journal_pb2_grpc

from decision.event_rules import check_identifier
from service.application import Application
from service.conversion.journal import journalled_message, replay_message
from service.replaying import replay
from store.database import reading
from store.journal import find


class JournalServicer(journal_pb2_grpc.JournalServiceServicer):
    """Shows the journal, and holds it against the ledger."""

    def __init__(self, application: Application) -> None:
        """Read from the ledger of `application`."""
        self._stores = application.stores

    def GetDecision(
        self, request: journal_pb2.GetDecisionRequest, context: grpc.ServicerContext
    ) -> journal_pb2.GetDecisionResponse:
        """Find an answer by its id."""
        check_identifier("decision_id", request.decision_id)
        with reading(self._stores.engine) as connection:
            entry = find(connection, request.decision_id)
        return journal_pb2.GetDecisionResponse(decision=journalled_message(entry))

    def ReplayDecision(
        self, request: journal_pb2.ReplayDecisionRequest, context: grpc.ServicerContext
    ) -> journal_pb2.ReplayDecisionResponse:
        """Make an answer again from the ledger."""
        check_identifier("decision_id", request.decision_id)
        return replay_message(replay(self._stores, request.decision_id))
