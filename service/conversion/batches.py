"""Batches: the answers of a BatchCheck as its message.

What lives here: writing many answers quickly. Each is written where it belongs in the response, on
a copy of what it has in common with others; a test compares them with single ones.
"""

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, decision_pb2

from decision.errors import MayweError
from decision.instants import FOREVER, Instant
from decision.timeline import Basis
from service.checking import Decision, Undetermined
from service.conversion.decisions import share_response, undetermined_fields
from service.conversion.reading import MICROSECONDS_PER_SECOND, NANOSECONDS_PER_MICROSECOND
from service.conversion.writing import reason_value, timestamp_fields, verdict_value
from service.errors import problem_of, status_of


def batch_response(
    checks: Sequence[decision_pb2.BatchCheckItem],
    results: Sequence[Decision | Undetermined | MayweError],
) -> decision_pb2.BatchCheckResponse:
    """Write the answers to the questions of a batch."""
    writer = _Writer()
    for item, result in zip(checks, results, strict=True):
        writer.add(item, result)
    return writer.response


class _Writer:
    """Writes the answers one after the other."""

    def __init__(self) -> None:
        self.response = decision_pb2.BatchCheckResponse()
        self._results = self.response.results
        self._templates: dict[tuple[object, ...], decision_pb2.MayContactResponse] = {}

    def add(
        self, item: decision_pb2.BatchCheckItem, result: Decision | Undetermined | MayweError
    ) -> None:
        added = self._results.add()
        if isinstance(result, MayweError):
            added.error.CopyFrom(status_of(problem_of(result)))
        elif item.WhichOneof("question") == "contact":
            if isinstance(result, Decision):
                self._write_contact(added.contact, result)
            else:
                fields = undetermined_fields(result)
                added.contact.CopyFrom(decision_pb2.MayContactResponse(**fields))
        elif isinstance(result, Decision):
            added.share.CopyFrom(share_response(result, item.share.datasets))
        else:
            added.share.CopyFrom(decision_pb2.MayShareResponse(**undetermined_fields(result)))

    def _write_contact(self, message: decision_pb2.MayContactResponse, decision: Decision) -> None:
        (answer,) = decision.answers
        message.CopyFrom(self._template(decision))
        if decision.state_version:
            message.state_version = decision.state_version
        message.decision_id = decision.decision_id
        if answer.basis is not None:
            if answer.not_after != FOREVER:
                _write_instant(message.not_after, answer.not_after)
            _write_basis(message.basis, answer.basis)

    def _template(self, decision: Decision) -> decision_pb2.MayContactResponse:
        """Give an answer with what many of a batch have in common."""
        (answer,) = decision.answers
        key = (
            answer.reason,
            decision.publication,
            decision.decided_at,
            decision.is_outside_promise,
            *decision.allowed_channels,
        )
        template = self._templates.get(key)
        if template is None:
            template = self._templates[key] = decision_pb2.MayContactResponse(
                verdict=verdict_value(answer.verdict),
                reason=reason_value(answer.reason),
                allowed_channels=decision.allowed_channels,
                catalog_publication=decision.publication,
                decided_at=timestamp_fields(decision.decided_at),
                outside_promise=decision.is_outside_promise,
            )
        return template


def _write_basis(message: common_pb2.Basis, basis: Basis) -> None:
    message.event_id = basis.event_id
    message.consent_type = basis.consent_type
    message.wording_version = basis.wording_version
    if basis.product is not None:
        product = message.product
        (
            product.system_code,
            product.product_type,
            product.series,
            product.number,
        ) = basis.product
    _write_instant(message.obtained_at, basis.obtained_at)
    if basis.ends_at != FOREVER:
        _write_instant(message.ends_at, basis.ends_at)


def _write_instant(message: Timestamp, instant: Instant) -> None:
    seconds, microseconds = divmod(instant, MICROSECONDS_PER_SECOND)
    message.seconds = seconds
    if microseconds:
        message.nanos = microseconds * NANOSECONDS_PER_MICROSECOND
