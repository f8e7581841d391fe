import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from maywe.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Answer(_message.Message):
    __slots__ = ("verdict", "reason", "not_after", "basis", "datasets", "allowed_datasets")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_DATASETS_FIELD_NUMBER: _ClassVar[int]
    verdict: _common_pb2.Verdict
    reason: _common_pb2.Reason
    not_after: _timestamp_pb2.Timestamp
    basis: _common_pb2.Basis
    datasets: _containers.RepeatedCompositeFieldContainer[_common_pb2.DatasetAnswer]
    allowed_datasets: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, verdict: _Optional[_Union[_common_pb2.Verdict, str]] = ..., reason: _Optional[_Union[_common_pb2.Reason, str]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., basis: _Optional[_Union[_common_pb2.Basis, _Mapping]] = ..., datasets: _Optional[_Iterable[_Union[_common_pb2.DatasetAnswer, _Mapping]]] = ..., allowed_datasets: _Optional[_Iterable[str]] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("event_id", "customer_id", "consent_type", "wording_version", "value", "product", "matrix_row_id", "obtained_at", "expires_at", "scopes", "source", "recorded_at", "brought_by_late_event", "brought_by_later_publication")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CONSENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    WORDING_VERSION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    MATRIX_ROW_ID_FIELD_NUMBER: _ClassVar[int]
    OBTAINED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    BROUGHT_BY_LATE_EVENT_FIELD_NUMBER: _ClassVar[int]
    BROUGHT_BY_LATER_PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    consent_type: str
    wording_version: int
    value: str
    product: _common_pb2.Product
    matrix_row_id: str
    obtained_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    scopes: _containers.RepeatedCompositeFieldContainer[GrantedScope]
    source: _common_pb2.Source
    recorded_at: _timestamp_pb2.Timestamp
    brought_by_late_event: bool
    brought_by_later_publication: bool
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., consent_type: _Optional[str] = ..., wording_version: _Optional[int] = ..., value: _Optional[str] = ..., product: _Optional[_Union[_common_pb2.Product, _Mapping]] = ..., matrix_row_id: _Optional[str] = ..., obtained_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scopes: _Optional[_Iterable[_Union[GrantedScope, _Mapping]]] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., brought_by_late_event: _Optional[bool] = ..., brought_by_later_publication: _Optional[bool] = ...) -> None: ...

class GrantedScope(_message.Message):
    __slots__ = ("scope", "ends_at", "ended_by", "ended_by_event_id", "empty")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_BY_FIELD_NUMBER: _ClassVar[int]
    ENDED_BY_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    EMPTY_FIELD_NUMBER: _ClassVar[int]
    scope: _common_pb2.Scope
    ends_at: _timestamp_pb2.Timestamp
    ended_by: _common_pb2.Reason
    ended_by_event_id: str
    empty: bool
    def __init__(self, scope: _Optional[_Union[_common_pb2.Scope, _Mapping]] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_by: _Optional[_Union[_common_pb2.Reason, str]] = ..., ended_by_event_id: _Optional[str] = ..., empty: _Optional[bool] = ...) -> None: ...

class Restriction(_message.Message):
    __slots__ = ("event_id", "customer_id", "kind", "acquired_through_partner", "selector", "effective_from", "effective_until", "ends_at", "lifted_by_event_id", "source", "recorded_at")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ACQUIRED_THROUGH_PARTNER_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_FROM_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    LIFTED_BY_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    kind: str
    acquired_through_partner: str
    selector: _common_pb2.Selector
    effective_from: _timestamp_pb2.Timestamp
    effective_until: _timestamp_pb2.Timestamp
    ends_at: _timestamp_pb2.Timestamp
    lifted_by_event_id: str
    source: _common_pb2.Source
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., kind: _Optional[str] = ..., acquired_through_partner: _Optional[str] = ..., selector: _Optional[_Union[_common_pb2.Selector, _Mapping]] = ..., effective_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., effective_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lifted_by_event_id: _Optional[str] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PartnerSuspension(_message.Message):
    __slots__ = ("partner", "suspended_from", "suspended_to", "publication_number")
    PARTNER_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FROM_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_TO_FIELD_NUMBER: _ClassVar[int]
    PUBLICATION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    partner: str
    suspended_from: _timestamp_pb2.Timestamp
    suspended_to: _timestamp_pb2.Timestamp
    publication_number: int
    def __init__(self, partner: _Optional[str] = ..., suspended_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., suspended_to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., publication_number: _Optional[int] = ...) -> None: ...

class LocalisedText(_message.Message):
    __slots__ = ("language", "text")
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    language: str
    text: str
    def __init__(self, language: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Wording(_message.Message):
    __slots__ = ("consent_type", "version", "texts", "in_force_from", "in_force_to", "term", "publication_number", "first_published_number")
    CONSENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FROM_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_TO_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    PUBLICATION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    FIRST_PUBLISHED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    consent_type: str
    version: int
    texts: _containers.RepeatedCompositeFieldContainer[LocalisedText]
    in_force_from: _timestamp_pb2.Timestamp
    in_force_to: _timestamp_pb2.Timestamp
    term: str
    publication_number: int
    first_published_number: int
    def __init__(self, consent_type: _Optional[str] = ..., version: _Optional[int] = ..., texts: _Optional[_Iterable[_Union[LocalisedText, _Mapping]]] = ..., in_force_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., in_force_to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., term: _Optional[str] = ..., publication_number: _Optional[int] = ..., first_published_number: _Optional[int] = ...) -> None: ...

class MatrixRow(_message.Message):
    __slots__ = ("id", "system_code", "product_type", "series_mask", "number_mask", "in_force_from", "in_force_to", "consent_types", "publication_number")
    ID_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_CODE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SERIES_MASK_FIELD_NUMBER: _ClassVar[int]
    NUMBER_MASK_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FROM_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_TO_FIELD_NUMBER: _ClassVar[int]
    CONSENT_TYPES_FIELD_NUMBER: _ClassVar[int]
    PUBLICATION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    id: str
    system_code: str
    product_type: str
    series_mask: str
    number_mask: str
    in_force_from: _timestamp_pb2.Timestamp
    in_force_to: _timestamp_pb2.Timestamp
    consent_types: _containers.RepeatedScalarFieldContainer[str]
    publication_number: int
    def __init__(self, id: _Optional[str] = ..., system_code: _Optional[str] = ..., product_type: _Optional[str] = ..., series_mask: _Optional[str] = ..., number_mask: _Optional[str] = ..., in_force_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., in_force_to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., consent_types: _Optional[_Iterable[str]] = ..., publication_number: _Optional[int] = ...) -> None: ...

class PublicationReference(_message.Message):
    __slots__ = ("number", "publication_id", "recorded_at", "publisher", "comment")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PUBLICATION_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHER_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    number: int
    publication_id: str
    recorded_at: _timestamp_pb2.Timestamp
    publisher: str
    comment: str
    def __init__(self, number: _Optional[int] = ..., publication_id: _Optional[str] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., publisher: _Optional[str] = ..., comment: _Optional[str] = ...) -> None: ...
