import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from maywe.v1 import common_pb2 as _common_pb2
from maywe.v1 import evidence_pb2 as _evidence_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DocumentFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DOCUMENT_FORMAT_UNSPECIFIED: _ClassVar[DocumentFormat]
    DOCUMENT_FORMAT_YAML: _ClassVar[DocumentFormat]
    DOCUMENT_FORMAT_JSON: _ClassVar[DocumentFormat]

class FaultKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAULT_KIND_UNSPECIFIED: _ClassVar[FaultKind]
    FAULT_KIND_INVALID: _ClassVar[FaultKind]
    FAULT_KIND_CONFLICT: _ClassVar[FaultKind]

class RolloutState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLLOUT_STATE_UNSPECIFIED: _ClassVar[RolloutState]
    ROLLOUT_STATE_RECORDED: _ClassVar[RolloutState]
    ROLLOUT_STATE_ROLLING_OUT: _ClassVar[RolloutState]
    ROLLOUT_STATE_EFFECTIVE: _ClassVar[RolloutState]
    ROLLOUT_STATE_SUPERSEDED: _ClassVar[RolloutState]
DOCUMENT_FORMAT_UNSPECIFIED: DocumentFormat
DOCUMENT_FORMAT_YAML: DocumentFormat
DOCUMENT_FORMAT_JSON: DocumentFormat
FAULT_KIND_UNSPECIFIED: FaultKind
FAULT_KIND_INVALID: FaultKind
FAULT_KIND_CONFLICT: FaultKind
ROLLOUT_STATE_UNSPECIFIED: RolloutState
ROLLOUT_STATE_RECORDED: RolloutState
ROLLOUT_STATE_ROLLING_OUT: RolloutState
ROLLOUT_STATE_EFFECTIVE: RolloutState
ROLLOUT_STATE_SUPERSEDED: RolloutState

class GetCatalogRequest(_message.Message):
    __slots__ = ("known_at",)
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    known_at: _timestamp_pb2.Timestamp
    def __init__(self, known_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetCatalogResponse(_message.Message):
    __slots__ = ("publication", "document", "format")
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    publication: _evidence_pb2.PublicationReference
    document: str
    format: DocumentFormat
    def __init__(self, publication: _Optional[_Union[_evidence_pb2.PublicationReference, _Mapping]] = ..., document: _Optional[str] = ..., format: _Optional[_Union[DocumentFormat, str]] = ...) -> None: ...

class ListPublicationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPublicationsResponse(_message.Message):
    __slots__ = ("publications", "next_page_token")
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    publications: _containers.RepeatedCompositeFieldContainer[_evidence_pb2.PublicationReference]
    next_page_token: str
    def __init__(self, publications: _Optional[_Iterable[_Union[_evidence_pb2.PublicationReference, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ValidateCatalogRequest(_message.Message):
    __slots__ = ("document", "format")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    document: str
    format: DocumentFormat
    def __init__(self, document: _Optional[str] = ..., format: _Optional[_Union[DocumentFormat, str]] = ...) -> None: ...

class ValidateCatalogResponse(_message.Message):
    __slots__ = ("faults", "base_number")
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    BASE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    faults: _containers.RepeatedCompositeFieldContainer[CatalogFault]
    base_number: int
    def __init__(self, faults: _Optional[_Iterable[_Union[CatalogFault, _Mapping]]] = ..., base_number: _Optional[int] = ...) -> None: ...

class CatalogFault(_message.Message):
    __slots__ = ("path", "problem", "remedy", "kind")
    PATH_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    path: str
    problem: str
    remedy: str
    kind: FaultKind
    def __init__(self, path: _Optional[str] = ..., problem: _Optional[str] = ..., remedy: _Optional[str] = ..., kind: _Optional[_Union[FaultKind, str]] = ...) -> None: ...

class PreviewPublicationRequest(_message.Message):
    __slots__ = ("document", "format", "sample_size", "hand_in")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SIZE_FIELD_NUMBER: _ClassVar[int]
    HAND_IN_FIELD_NUMBER: _ClassVar[int]
    document: str
    format: DocumentFormat
    sample_size: int
    hand_in: bool
    def __init__(self, document: _Optional[str] = ..., format: _Optional[_Union[DocumentFormat, str]] = ..., sample_size: _Optional[int] = ..., hand_in: _Optional[bool] = ...) -> None: ...

class PreviewPublicationResponse(_message.Message):
    __slots__ = ("base_number", "compared_at", "customer_count", "gaining_count", "losing_count", "changed_count", "scopes", "partners", "samples", "unmatched_count_before", "unmatched_count_after")
    BASE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    COMPARED_AT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_COUNT_FIELD_NUMBER: _ClassVar[int]
    GAINING_COUNT_FIELD_NUMBER: _ClassVar[int]
    LOSING_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    PARTNERS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_COUNT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_COUNT_AFTER_FIELD_NUMBER: _ClassVar[int]
    base_number: int
    compared_at: _timestamp_pb2.Timestamp
    customer_count: int
    gaining_count: int
    losing_count: int
    changed_count: int
    scopes: _containers.RepeatedCompositeFieldContainer[ScopeEffect]
    partners: _containers.RepeatedCompositeFieldContainer[PartnerEffect]
    samples: _containers.RepeatedCompositeFieldContainer[CustomerEffect]
    unmatched_count_before: int
    unmatched_count_after: int
    def __init__(self, base_number: _Optional[int] = ..., compared_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., customer_count: _Optional[int] = ..., gaining_count: _Optional[int] = ..., losing_count: _Optional[int] = ..., changed_count: _Optional[int] = ..., scopes: _Optional[_Iterable[_Union[ScopeEffect, _Mapping]]] = ..., partners: _Optional[_Iterable[_Union[PartnerEffect, _Mapping]]] = ..., samples: _Optional[_Iterable[_Union[CustomerEffect, _Mapping]]] = ..., unmatched_count_before: _Optional[int] = ..., unmatched_count_after: _Optional[int] = ...) -> None: ...

class ScopeEffect(_message.Message):
    __slots__ = ("scope", "gaining_count", "losing_count", "changed_count")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    GAINING_COUNT_FIELD_NUMBER: _ClassVar[int]
    LOSING_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    scope: _common_pb2.Scope
    gaining_count: int
    losing_count: int
    changed_count: int
    def __init__(self, scope: _Optional[_Union[_common_pb2.Scope, _Mapping]] = ..., gaining_count: _Optional[int] = ..., losing_count: _Optional[int] = ..., changed_count: _Optional[int] = ...) -> None: ...

class PartnerEffect(_message.Message):
    __slots__ = ("partner", "gaining_count", "losing_count", "changed_count")
    PARTNER_FIELD_NUMBER: _ClassVar[int]
    GAINING_COUNT_FIELD_NUMBER: _ClassVar[int]
    LOSING_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    partner: str
    gaining_count: int
    losing_count: int
    changed_count: int
    def __init__(self, partner: _Optional[str] = ..., gaining_count: _Optional[int] = ..., losing_count: _Optional[int] = ..., changed_count: _Optional[int] = ...) -> None: ...

class CustomerEffect(_message.Message):
    __slots__ = ("customer_id", "changes")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    changes: _containers.RepeatedCompositeFieldContainer[_common_pb2.ScopeChange]
    def __init__(self, customer_id: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[_common_pb2.ScopeChange, _Mapping]]] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("publication_id", "document", "format", "publisher", "comment", "expected_number")
    PUBLICATION_ID_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHER_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    publication_id: str
    document: str
    format: DocumentFormat
    publisher: str
    comment: str
    expected_number: int
    def __init__(self, publication_id: _Optional[str] = ..., document: _Optional[str] = ..., format: _Optional[_Union[DocumentFormat, str]] = ..., publisher: _Optional[str] = ..., comment: _Optional[str] = ..., expected_number: _Optional[int] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ("acknowledgement", "number")
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    number: int
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ..., number: _Optional[int] = ...) -> None: ...

class GetPublicationRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class GetPublicationResponse(_message.Message):
    __slots__ = ("publication", "rollout")
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    publication: _evidence_pb2.PublicationReference
    rollout: Rollout
    def __init__(self, publication: _Optional[_Union[_evidence_pb2.PublicationReference, _Mapping]] = ..., rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class Rollout(_message.Message):
    __slots__ = ("state", "pieces_done_count", "pieces_count", "customers_done_count", "customers_count", "customers_changed_count", "effective_at")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PIECES_DONE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PIECES_COUNT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_DONE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_COUNT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_CHANGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AT_FIELD_NUMBER: _ClassVar[int]
    state: RolloutState
    pieces_done_count: int
    pieces_count: int
    customers_done_count: int
    customers_count: int
    customers_changed_count: int
    effective_at: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[_Union[RolloutState, str]] = ..., pieces_done_count: _Optional[int] = ..., pieces_count: _Optional[int] = ..., customers_done_count: _Optional[int] = ..., customers_count: _Optional[int] = ..., customers_changed_count: _Optional[int] = ..., effective_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
