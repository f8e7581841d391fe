import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from maywe.v1 import common_pb2 as _common_pb2
from maywe.v1 import event_pb2 as _event_pb2
from maywe.v1 import evidence_pb2 as _evidence_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConsentStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSENT_STATUS_UNSPECIFIED: _ClassVar[ConsentStatus]
    CONSENT_STATUS_IN_FORCE: _ClassVar[ConsentStatus]
    CONSENT_STATUS_NOT_YET_VALID: _ClassVar[ConsentStatus]
    CONSENT_STATUS_ENDED: _ClassVar[ConsentStatus]

class ChangeCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_CAUSE_UNSPECIFIED: _ClassVar[ChangeCause]
    CHANGE_CAUSE_EVENT: _ClassVar[ChangeCause]
    CHANGE_CAUSE_PUBLICATION: _ClassVar[ChangeCause]
    CHANGE_CAUSE_PASSAGE_OF_TIME: _ClassVar[ChangeCause]
    CHANGE_CAUSE_CORRECTION: _ClassVar[ChangeCause]
CONSENT_STATUS_UNSPECIFIED: ConsentStatus
CONSENT_STATUS_IN_FORCE: ConsentStatus
CONSENT_STATUS_NOT_YET_VALID: ConsentStatus
CONSENT_STATUS_ENDED: ConsentStatus
CHANGE_CAUSE_UNSPECIFIED: ChangeCause
CHANGE_CAUSE_EVENT: ChangeCause
CHANGE_CAUSE_PUBLICATION: ChangeCause
CHANGE_CAUSE_PASSAGE_OF_TIME: ChangeCause
CHANGE_CAUSE_CORRECTION: ChangeCause

class GetConsentCardRequest(_message.Message):
    __slots__ = ("customer_id", "valid_at", "known_at")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    valid_at: _timestamp_pb2.Timestamp
    known_at: _timestamp_pb2.Timestamp
    def __init__(self, customer_id: _Optional[str] = ..., valid_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., known_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetConsentCardResponse(_message.Message):
    __slots__ = ("canonical_customer_id", "customer_ids", "valid_at", "known_at", "zone", "consents", "allowed_scopes", "restrictions", "publication")
    CANONICAL_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    CONSENTS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_SCOPES_FIELD_NUMBER: _ClassVar[int]
    RESTRICTIONS_FIELD_NUMBER: _ClassVar[int]
    PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    canonical_customer_id: str
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    valid_at: _timestamp_pb2.Timestamp
    known_at: _timestamp_pb2.Timestamp
    zone: str
    consents: _containers.RepeatedCompositeFieldContainer[ConsentSummary]
    allowed_scopes: _containers.RepeatedCompositeFieldContainer[_common_pb2.ScopeAnswer]
    restrictions: _containers.RepeatedCompositeFieldContainer[_evidence_pb2.Restriction]
    publication: _evidence_pb2.PublicationReference
    def __init__(self, canonical_customer_id: _Optional[str] = ..., customer_ids: _Optional[_Iterable[str]] = ..., valid_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., known_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., zone: _Optional[str] = ..., consents: _Optional[_Iterable[_Union[ConsentSummary, _Mapping]]] = ..., allowed_scopes: _Optional[_Iterable[_Union[_common_pb2.ScopeAnswer, _Mapping]]] = ..., restrictions: _Optional[_Iterable[_Union[_evidence_pb2.Restriction, _Mapping]]] = ..., publication: _Optional[_Union[_evidence_pb2.PublicationReference, _Mapping]] = ...) -> None: ...

class ConsentSummary(_message.Message):
    __slots__ = ("consent_type", "status", "term_from", "term_until", "ended_by", "grants")
    CONSENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TERM_FROM_FIELD_NUMBER: _ClassVar[int]
    TERM_UNTIL_FIELD_NUMBER: _ClassVar[int]
    ENDED_BY_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    consent_type: str
    status: ConsentStatus
    term_from: _timestamp_pb2.Timestamp
    term_until: _timestamp_pb2.Timestamp
    ended_by: _common_pb2.Reason
    grants: _containers.RepeatedCompositeFieldContainer[_evidence_pb2.Grant]
    def __init__(self, consent_type: _Optional[str] = ..., status: _Optional[_Union[ConsentStatus, str]] = ..., term_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., term_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_by: _Optional[_Union[_common_pb2.Reason, str]] = ..., grants: _Optional[_Iterable[_Union[_evidence_pb2.Grant, _Mapping]]] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("customer_id", "page_size", "page_token")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    page_size: int
    page_token: str
    def __init__(self, customer_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.RecordedEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.RecordedEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListUnmatchedPurchasesRequest(_message.Message):
    __slots__ = ("customer_id", "page_size", "page_token")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    page_size: int
    page_token: str
    def __init__(self, customer_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListUnmatchedPurchasesResponse(_message.Message):
    __slots__ = ("unmatched_purchases", "next_page_token")
    UNMATCHED_PURCHASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    unmatched_purchases: _containers.RepeatedCompositeFieldContainer[UnmatchedPurchase]
    next_page_token: str
    def __init__(self, unmatched_purchases: _Optional[_Iterable[_Union[UnmatchedPurchase, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UnmatchedPurchase(_message.Message):
    __slots__ = ("event", "recorded_at", "cause", "matrix_row_id", "consent_types_without_wording")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    MATRIX_ROW_ID_FIELD_NUMBER: _ClassVar[int]
    CONSENT_TYPES_WITHOUT_WORDING_FIELD_NUMBER: _ClassVar[int]
    event: _event_pb2.Event
    recorded_at: _timestamp_pb2.Timestamp
    cause: _common_pb2.UnmatchedCause
    matrix_row_id: str
    consent_types_without_wording: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cause: _Optional[_Union[_common_pb2.UnmatchedCause, str]] = ..., matrix_row_id: _Optional[str] = ..., consent_types_without_wording: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchChangesRequest(_message.Message):
    __slots__ = ("cursor", "from_oldest")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    FROM_OLDEST_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    from_oldest: bool
    def __init__(self, cursor: _Optional[str] = ..., from_oldest: _Optional[bool] = ...) -> None: ...

class WatchChangesResponse(_message.Message):
    __slots__ = ("changes", "cursor", "sent_at")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[PermissionChange]
    cursor: str
    sent_at: _timestamp_pb2.Timestamp
    def __init__(self, changes: _Optional[_Iterable[_Union[PermissionChange, _Mapping]]] = ..., cursor: _Optional[str] = ..., sent_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PermissionChange(_message.Message):
    __slots__ = ("shard", "sequence", "customer_id", "change", "cause", "event_id", "publication_number", "occurred_at", "recorded_at")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    PUBLICATION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    shard: int
    sequence: int
    customer_id: str
    change: _common_pb2.ScopeChange
    cause: ChangeCause
    event_id: str
    publication_number: int
    occurred_at: _timestamp_pb2.Timestamp
    recorded_at: _timestamp_pb2.Timestamp
    def __init__(self, shard: _Optional[int] = ..., sequence: _Optional[int] = ..., customer_id: _Optional[str] = ..., change: _Optional[_Union[_common_pb2.ScopeChange, _Mapping]] = ..., cause: _Optional[_Union[ChangeCause, str]] = ..., event_id: _Optional[str] = ..., publication_number: _Optional[int] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
