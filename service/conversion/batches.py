"""Batches: the questions of a BatchCheck from its message, and the answers as its message.

What lives here: writing many answers quickly. What many have in common is written once, as an
ordinary message, and kept as its bytes; `wire` adds to these what each has for itself. A test
compares the answers with single ones.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final

from maywe.v1 import common_pb2, decision_pb2

from decision.answer import Answer, ShareAnswer
from decision.errors import MayweError
from decision.instants import Instant
from decision.questions import ContactQuestion, ShareQuestion
from decision.reasons import Reason, verdict_of
from service.asked import CheckQuestion
from service.batches import Decided
from service.checking import Check, Decision, Undetermined
from service.conversion import wire, wire_columns
from service.conversion.decisions import (
    batch_check,
    contact_response,
    share_response,
    undetermined_fields,
)
from service.conversion.timestamps import timestamp_fields
from service.conversion.writing import reason_value, verdict_value
from service.errors import problem_of, status_of
from service.judging import Judged, JudgedQuestion, place_suffix
from store.judging_bases import Bases, Granted

BEGINNINGS_KEPT_MAX: Final = 1024
"""Answers for data sets whose beginnings are kept: there are only so many of them."""

_RESULTS: Final = decision_pb2.BatchCheckResponse.RESULTS_FIELD_NUMBER
_RESULT: Final = decision_pb2.BatchCheckResult
_CONTACT: Final = decision_pb2.MayContactResponse
_SHARE: Final = decision_pb2.MayShareResponse
_DATASET: Final = common_pb2.DatasetAnswer
_BASIS: Final = common_pb2.Basis
_PRODUCT: Final = common_pb2.Product

_PLACES: Final = tuple(place_suffix(place).encode() for place in range(0x1000))
"""What the decision ids of a batch end with, by place."""


def batch_checks(items: Iterable[decision_pb2.BatchCheckItem]) -> list[Check | MayweError]:
    """Read the questions of a batch; one that can not be read is its error."""
    return [_read(item) for item in items]


def _read(item: decision_pb2.BatchCheckItem) -> Check | MayweError:
    try:
        return batch_check(item)
    except MayweError as error:
        return error


def batch_response(decided: Decided) -> decision_pb2.BatchCheckResponse:
    """Write the answers to the questions of a batch."""
    results = [b""] * decided.check_count
    for places, judged in decided.together:
        _JudgedWriter(judged).write(places, results)
    messages = {place: _single_result(*one) for place, one in decided.singly.items()}
    for place, error in decided.errors.items():
        messages[place] = _RESULT(error=status_of(problem_of(error)))
    for place, message in messages.items():
        results[place] = wire.delimited(_RESULTS, message.SerializeToString())
    return decision_pb2.BatchCheckResponse.FromString(b"".join(results))


def _single_result(
    question: CheckQuestion, result: Decision | Undetermined
) -> decision_pb2.BatchCheckResult:
    """Write an answer that was given by itself."""
    if isinstance(question, ContactQuestion):
        if isinstance(result, Decision):
            return _RESULT(contact=contact_response(result))
        return _RESULT(contact=_CONTACT(**undetermined_fields(result)))
    if isinstance(result, Decision):
        return _RESULT(share=share_response(result, question.datasets))
    return _RESULT(share=_SHARE(**undetermined_fields(result)))


class _JudgedWriter:
    """Writes the answers to checks that were judged together."""

    def __init__(self, judged: Judged) -> None:
        self._judged = judged
        told = _Told(judged)
        self._kinds = [
            _Shares(judged, asked, asked.question.datasets, told)
            if isinstance(asked.question, ShareQuestion)
            else _Contacts(judged, asked, told)
            for asked in judged.asked
        ]

    def write(self, places: Sequence[int], results: list[bytes]) -> None:
        """Put the answers to their places, as results of the batch."""
        judged = self._judged
        for index, number, version, first in zip(
            judged.answered, judged.questions, judged.state_versions, judged.firsts, strict=True
        ):
            kind, place = self._kinds[number], places[index]
            reasons = judged.reasons[first : first + kind.scope_count]
            answer = b"".join(
                (
                    kind.beginnings[reasons],
                    _PLACES[place],
                    wire.number(kind.version_field, version),
                    kind.rest(first, reasons),
                )
            )
            results[place] = _result_head(kind.result_field, len(answer)) + answer


@lru_cache(wire.NUMBERS_KEPT_MAX)
def _result_head(field: int, length: int) -> bytes:
    """Write what stands before an answer of so many bytes that is a result of a batch."""
    head = wire.head(field, length)
    return wire.head(_RESULTS, len(head) + length) + head


class _Told:
    """What is told with every ALLOW of checks that were judged together, as fields.

    It is kept by where the reason of the ALLOW stands among `reasons`.
    """

    def __init__(self, judged: Judged) -> None:
        self._judged = judged
        self._bases = _bases(judged.bases)

    @cached_property
    def by_contact(self) -> Mapping[int, bytes]:
        """As fields of a MayContactResponse."""
        return self._fields(_CONTACT.NOT_AFTER_FIELD_NUMBER, _CONTACT.BASIS_FIELD_NUMBER)

    @cached_property
    def by_dataset(self) -> Mapping[int, bytes]:
        """As fields of a DatasetAnswer."""
        return self._fields(_DATASET.NOT_AFTER_FIELD_NUMBER, _DATASET.BASIS_FIELD_NUMBER)

    @cached_property
    def not_after(self) -> Mapping[int, Instant]:
        """Only until when each holds, as an instant."""
        return dict(zip(self._judged.allowed, self._judged.not_after.tolist(), strict=True))

    def _fields(self, not_after_field: int, basis_field: int) -> Mapping[int, bytes]:
        not_after = wire_columns.timestamps(not_after_field, self._judged.not_after)
        return {
            place: b"".join((end, wire.head(basis_field, len(basis)), basis))
            for place, end, basis in zip(self._judged.allowed, not_after, self._bases, strict=True)
        }


class _Beginnings(dict[bytes, bytes]):
    """What the answers to a question begin with, by the reasons of all of its scopes.

    That is everything but what each has for itself: the end of its decision id, its state version,
    and what is told with an ALLOW.
    """

    def __init__(self, write: Callable[[Sequence[Reason]], bytes]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, reasons: bytes) -> bytes:
        written = self[reasons] = self._write([Reason(reason) for reason in reasons])
        return written


class _Contacts:
    """The answers to one contact question."""

    result_field: Final = _RESULT.CONTACT_FIELD_NUMBER
    version_field: Final = _CONTACT.STATE_VERSION_FIELD_NUMBER

    def __init__(self, judged: Judged, asked: JudgedQuestion, told: _Told) -> None:
        self.scope_count = asked.scope_count
        self.beginnings = _Beginnings(self._beginning)
        self._judged = judged
        self._asked = asked
        self._told = told.by_contact

    def _beginning(self, reasons: Sequence[Reason]) -> bytes:
        message = _CONTACT(
            verdict=verdict_value(verdict_of(reasons[0])),
            reason=reason_value(reasons[0]),
            allowed_channels=[
                code for code, scope in self._asked.channels if reasons[scope] is Reason.ALLOWED
            ],
            **_decided_fields(self._judged),
        )
        return message.SerializeToString() + _decision_id(
            _CONTACT.DECISION_ID_FIELD_NUMBER, self._judged
        )

    def rest(self, first: int, _: bytes) -> bytes:
        """Write what is told with an ALLOW."""
        return self._told.get(first, b"")


class _Shares:
    """The answers to one share question."""

    result_field: Final = _RESULT.SHARE_FIELD_NUMBER
    version_field: Final = _SHARE.STATE_VERSION_FIELD_NUMBER

    def __init__(
        self, judged: Judged, asked: JudgedQuestion, datasets: Sequence[str], told: _Told
    ) -> None:
        self.scope_count = asked.scope_count
        self.beginnings = _Beginnings(self._beginning)
        self._judged = judged
        self._datasets = datasets
        self._told = told.by_dataset
        self._not_after = told.not_after

    def _beginning(self, reasons: Sequence[Reason]) -> bytes:
        share = ShareAnswer([Answer(reason) for reason in reasons])
        message = _SHARE(
            verdict=verdict_value(share.verdict),
            reason=reason_value(share.reason),
            allowed_datasets=[
                dataset
                for dataset, reason in zip(self._datasets, reasons, strict=True)
                if reason is Reason.ALLOWED
            ],
            **_decided_fields(self._judged),
        )
        return message.SerializeToString() + _decision_id(
            _SHARE.DECISION_ID_FIELD_NUMBER, self._judged
        )

    def rest(self, first: int, reasons: bytes) -> bytes:
        """Write the answer for each data set, and until when all of them are allowed."""
        answers = [
            wire.delimited(
                _SHARE.DATASETS_FIELD_NUMBER,
                _dataset_beginning(dataset, reason) + self._told.get(place, b""),
            )
            for place, (dataset, reason) in enumerate(
                zip(self._datasets, reasons, strict=True), first
            )
        ]
        if len(answers) == reasons.count(Reason.ALLOWED):
            earliest = min(self._not_after[first + place] for place in range(len(answers)))
            answers.append(wire.timestamp(_SHARE.NOT_AFTER_FIELD_NUMBER, earliest))
        return b"".join(answers)


@lru_cache(BEGINNINGS_KEPT_MAX)
def _dataset_beginning(dataset: str, reason: int) -> bytes:
    message = _DATASET(
        dataset=dataset,
        verdict=verdict_value(verdict_of(Reason(reason))),
        reason=reason_value(Reason(reason)),
    )
    return message.SerializeToString()


def _decided_fields(judged: Judged) -> dict[str, Any]:
    return {
        "catalog_publication": judged.publication,
        "decided_at": timestamp_fields(judged.decided_at),
    }


def _decision_id(field: int, judged: Judged) -> bytes:
    """Write a decision id as a field, without the end by which those of a batch differ."""
    beginning = judged.decision_id.encode()
    return wire.head(field, len(beginning) + len(_PLACES[0])) + beginning


def _bases(bases: Bases) -> list[bytes]:
    """Write bases as messages."""
    beginnings = [_basis_beginnings(granted) for granted in bases.grants]
    written = []
    for granted, event_id, series, number, obtained_at, ends_at in zip(
        bases.granted,
        bases.event_ids,
        bases.series,
        bases.numbers,
        wire_columns.timestamps(_BASIS.OBTAINED_AT_FIELD_NUMBER, bases.obtained_at),
        wire_columns.timestamps(_BASIS.ENDS_AT_FIELD_NUMBER, bases.ends_at),
        strict=True,
    ):
        basis, product = beginnings[granted]
        parts: tuple[bytes, ...]
        event = wire.text(_BASIS.EVENT_ID_FIELD_NUMBER, event_id)
        if product is not None:
            series_of_it = wire.text(_PRODUCT.SERIES_FIELD_NUMBER, series)
            number_of_it = wire.text(_PRODUCT.NUMBER_FIELD_NUMBER, number)
            length = len(product) + len(series_of_it) + len(number_of_it)
            head = wire.head(_BASIS.PRODUCT_FIELD_NUMBER, length)
            parts = (basis, event, head, product, series_of_it, number_of_it, obtained_at, ends_at)
        else:
            parts = (basis, event, obtained_at, ends_at)
        written.append(b"".join(parts))
    return written


def _basis_beginnings(granted: Granted) -> tuple[bytes, bytes | None]:
    """Write what bases have in common, and what their products have, if they have one."""
    basis = _BASIS(consent_type=granted.consent_type, wording_version=granted.wording_version)
    product = _PRODUCT(system_code=granted.system_code, product_type=granted.product_type)
    return basis.SerializeToString(), product.SerializeToString() if granted.has_product else None
