"""Catalog messages: documents and their formats, faults, previews and a roll-out's progress."""

from typing import Final

from maywe.v1 import catalog_pb2

from decision.errors import DocumentFault, FaultKind, FieldFault, InvalidArgumentError
from decision.instants import Instant
from service.conversion.timestamps import timestamp
from service.conversion.writing import optional_timestamp, scope_change_message, scope_message
from service.documents import Format, format_of, read_document
from store.preview import Effect, Preview
from store.rollout import RolloutProgress, RolloutState

CHANGES_PER_SAMPLE_MAX: Final = 100
"""Changes of one sample customer that a preview shows."""

_FORMATS: Final = {
    catalog_pb2.DOCUMENT_FORMAT_UNSPECIFIED: None,
    catalog_pb2.DOCUMENT_FORMAT_YAML: Format.YAML,
    catalog_pb2.DOCUMENT_FORMAT_JSON: Format.JSON,
}
_FORMAT_VALUES: Final = {
    Format.YAML: catalog_pb2.DOCUMENT_FORMAT_YAML,
    Format.JSON: catalog_pb2.DOCUMENT_FORMAT_JSON,
}
_FAULT_KINDS: Final = {
    FaultKind.INVALID: catalog_pb2.FAULT_KIND_INVALID,
    FaultKind.CONFLICT: catalog_pb2.FAULT_KIND_CONFLICT,
}
_ROLLOUT_STATES: Final = {
    RolloutState.RECORDED: catalog_pb2.ROLLOUT_STATE_RECORDED,
    RolloutState.ROLLING_OUT: catalog_pb2.ROLLOUT_STATE_ROLLING_OUT,
    RolloutState.WRITTEN: catalog_pb2.ROLLOUT_STATE_ROLLING_OUT,
    RolloutState.SUPERSEDED: catalog_pb2.ROLLOUT_STATE_SUPERSEDED,
}

DocumentRequest = (
    catalog_pb2.ValidateCatalogRequest
    | catalog_pb2.PreviewPublicationRequest
    | catalog_pb2.PublishRequest
)
"""The requests that carry a document."""


def read_content(request: DocumentRequest) -> object:
    """Read the document of a request.

    Raises InvalidArgumentError, and PublicationRefusedError when the text can not be read.
    """
    if request.format not in _FORMATS:
        raise InvalidArgumentError(FieldFault("format", f"{request.format} is not a format"))
    return read_document(request.document, _FORMATS[request.format])


def format_value(document: str) -> catalog_pb2.DocumentFormat:
    """Tell how a published document is written."""
    return _FORMAT_VALUES[format_of(document)]


def fault_message(fault: DocumentFault) -> catalog_pb2.CatalogFault:
    """Write one fault of a document."""
    return catalog_pb2.CatalogFault(
        path=fault.path,
        problem=fault.problem,
        remedy=fault.remedy,
        kind=_FAULT_KINDS[fault.kind],
    )


def preview_message(preview: Preview) -> catalog_pb2.PreviewPublicationResponse:
    """Write what a publication would do."""
    return catalog_pb2.PreviewPublicationResponse(
        base_number=preview.base_number,
        compared_at=timestamp(preview.compared_at),
        customer_count=preview.person_count,
        gaining_count=preview.total.gaining,
        losing_count=preview.total.losing,
        changed_count=preview.total.changed,
        scopes=[
            catalog_pb2.ScopeEffect(scope=scope_message(scope), **_counts(effect))
            for scope, effect in preview.by_scope.items()
        ],
        partners=[
            catalog_pb2.PartnerEffect(partner=partner, **_counts(effect))
            for partner, effect in preview.by_partner.items()
        ],
        samples=[
            catalog_pb2.CustomerEffect(
                customer_id=sample.customer_id,
                changes=map(scope_change_message, sample.changes[:CHANGES_PER_SAMPLE_MAX]),
            )
            for sample in preview.samples
        ],
        unmatched_count_before=preview.unmatched_before,
        unmatched_count_after=preview.unmatched_after,
    )


def _counts(effect: Effect) -> dict[str, int]:
    return {
        "gaining_count": effect.gaining,
        "losing_count": effect.losing,
        "changed_count": effect.changed,
    }


def rollout_message(
    progress: RolloutProgress, *, is_in_cache: bool, effective_at: Instant | None
) -> catalog_pb2.Rollout:
    """Write how far a roll-out is; it is effective when it is written and in the cache as well."""
    is_effective = progress.state is RolloutState.WRITTEN and is_in_cache
    return catalog_pb2.Rollout(
        state=(
            catalog_pb2.ROLLOUT_STATE_EFFECTIVE if is_effective else _ROLLOUT_STATES[progress.state]
        ),
        pieces_done_count=progress.pieces_done,
        pieces_count=progress.pieces_total,
        customers_done_count=progress.customers_done,
        customers_count=progress.customers_total,
        customers_changed_count=progress.customers_changed,
        effective_at=optional_timestamp(effective_at) if is_effective else None,
    )
