import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import code_pb2 as _code_pb2
from maywe.v1 import common_pb2 as _common_pb2
from maywe.v1 import errors_pb2 as _errors_pb2
from maywe.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ValueEffect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALUE_EFFECT_UNSPECIFIED: _ClassVar[ValueEffect]
    VALUE_EFFECT_GRANTS: _ClassVar[ValueEffect]
    VALUE_EFFECT_REFUSES: _ClassVar[ValueEffect]
    VALUE_EFFECT_NOTES: _ClassVar[ValueEffect]

class ErasureProgress(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERASURE_PROGRESS_UNSPECIFIED: _ClassVar[ErasureProgress]
    ERASURE_PROGRESS_NOTHING_HELD: _ClassVar[ErasureProgress]
    ERASURE_PROGRESS_UNDER_WAY: _ClassVar[ErasureProgress]
    ERASURE_PROGRESS_COMPLETE: _ClassVar[ErasureProgress]
VALUE_EFFECT_UNSPECIFIED: ValueEffect
VALUE_EFFECT_GRANTS: ValueEffect
VALUE_EFFECT_REFUSES: ValueEffect
VALUE_EFFECT_NOTES: ValueEffect
ERASURE_PROGRESS_UNSPECIFIED: ErasureProgress
ERASURE_PROGRESS_NOTHING_HELD: ErasureProgress
ERASURE_PROGRESS_UNDER_WAY: ErasureProgress
ERASURE_PROGRESS_COMPLETE: ErasureProgress

class RecordPurchaseResponse(_message.Message):
    __slots__ = ("acknowledgement", "matrix_row_id", "consents", "unmatched_cause", "consent_types_without_wording")
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    MATRIX_ROW_ID_FIELD_NUMBER: _ClassVar[int]
    CONSENTS_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_CAUSE_FIELD_NUMBER: _ClassVar[int]
    CONSENT_TYPES_WITHOUT_WORDING_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    matrix_row_id: str
    consents: _containers.RepeatedCompositeFieldContainer[GivenConsent]
    unmatched_cause: _common_pb2.UnmatchedCause
    consent_types_without_wording: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ..., matrix_row_id: _Optional[str] = ..., consents: _Optional[_Iterable[_Union[GivenConsent, _Mapping]]] = ..., unmatched_cause: _Optional[_Union[_common_pb2.UnmatchedCause, str]] = ..., consent_types_without_wording: _Optional[_Iterable[str]] = ...) -> None: ...

class GivenConsent(_message.Message):
    __slots__ = ("consent_type", "wording_version", "expires_at", "until_product_closed")
    CONSENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    WORDING_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_PRODUCT_CLOSED_FIELD_NUMBER: _ClassVar[int]
    consent_type: str
    wording_version: int
    expires_at: _timestamp_pb2.Timestamp
    until_product_closed: bool
    def __init__(self, consent_type: _Optional[str] = ..., wording_version: _Optional[int] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_product_closed: _Optional[bool] = ...) -> None: ...

class CloseProductResponse(_message.Message):
    __slots__ = ("acknowledgement",)
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ...) -> None: ...

class RecordConsentResponse(_message.Message):
    __slots__ = ("acknowledgement", "effect", "consent", "unmatched_cause")
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_CAUSE_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    effect: ValueEffect
    consent: GivenConsent
    unmatched_cause: _common_pb2.UnmatchedCause
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ..., effect: _Optional[_Union[ValueEffect, str]] = ..., consent: _Optional[_Union[GivenConsent, _Mapping]] = ..., unmatched_cause: _Optional[_Union[_common_pb2.UnmatchedCause, str]] = ...) -> None: ...

class RevokeResponse(_message.Message):
    __slots__ = ("acknowledgement", "ended", "surviving")
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    SURVIVING_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    ended: _containers.RepeatedCompositeFieldContainer[EndedScope]
    surviving: _containers.RepeatedCompositeFieldContainer[_common_pb2.ScopeAnswer]
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ..., ended: _Optional[_Iterable[_Union[EndedScope, _Mapping]]] = ..., surviving: _Optional[_Iterable[_Union[_common_pb2.ScopeAnswer, _Mapping]]] = ...) -> None: ...

class EndedScope(_message.Message):
    __slots__ = ("scope", "would_have_held_until")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    WOULD_HAVE_HELD_UNTIL_FIELD_NUMBER: _ClassVar[int]
    scope: _common_pb2.Scope
    would_have_held_until: _timestamp_pb2.Timestamp
    def __init__(self, scope: _Optional[_Union[_common_pb2.Scope, _Mapping]] = ..., would_have_held_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RestrictResponse(_message.Message):
    __slots__ = ("acknowledgement",)
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ...) -> None: ...

class LiftRestrictionResponse(_message.Message):
    __slots__ = ("acknowledgement",)
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ...) -> None: ...

class RecordAcquisitionResponse(_message.Message):
    __slots__ = ("acknowledgement",)
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ...) -> None: ...

class VoidEventResponse(_message.Message):
    __slots__ = ("acknowledgement",)
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ...) -> None: ...

class MergeCustomersResponse(_message.Message):
    __slots__ = ("acknowledgement",)
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ...) -> None: ...

class SplitCustomerResponse(_message.Message):
    __slots__ = ("acknowledgement",)
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ...) -> None: ...

class EraseCustomerResponse(_message.Message):
    __slots__ = ("acknowledgement", "progress", "event_id", "customer_id_count", "event_count", "naming_event_id_count")
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_COUNT_FIELD_NUMBER: _ClassVar[int]
    EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    NAMING_EVENT_ID_COUNT_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: _common_pb2.Acknowledgement
    progress: ErasureProgress
    event_id: str
    customer_id_count: int
    event_count: int
    naming_event_id_count: int
    def __init__(self, acknowledgement: _Optional[_Union[_common_pb2.Acknowledgement, _Mapping]] = ..., progress: _Optional[_Union[ErasureProgress, str]] = ..., event_id: _Optional[str] = ..., customer_id_count: _Optional[int] = ..., event_count: _Optional[int] = ..., naming_event_id_count: _Optional[int] = ...) -> None: ...

class ImportEventsRequest(_message.Message):
    __slots__ = ("start", "chunk")
    START_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    start: ImportStart
    chunk: ImportChunk
    def __init__(self, start: _Optional[_Union[ImportStart, _Mapping]] = ..., chunk: _Optional[_Union[ImportChunk, _Mapping]] = ...) -> None: ...

class ImportStart(_message.Message):
    __slots__ = ("import_id",)
    IMPORT_ID_FIELD_NUMBER: _ClassVar[int]
    import_id: str
    def __init__(self, import_id: _Optional[str] = ...) -> None: ...

class ImportChunk(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ImportItem]
    def __init__(self, items: _Optional[_Iterable[_Union[ImportItem, _Mapping]]] = ...) -> None: ...

class ImportItem(_message.Message):
    __slots__ = ("position", "event")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    position: int
    event: _event_pb2.Event
    def __init__(self, position: _Optional[int] = ..., event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ...) -> None: ...

class ImportEventsResponse(_message.Message):
    __slots__ = ("resume", "progress", "summary")
    RESUME_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    resume: ImportResume
    progress: ImportProgress
    summary: ImportSummary
    def __init__(self, resume: _Optional[_Union[ImportResume, _Mapping]] = ..., progress: _Optional[_Union[ImportProgress, _Mapping]] = ..., summary: _Optional[_Union[ImportSummary, _Mapping]] = ...) -> None: ...

class ImportResume(_message.Message):
    __slots__ = ("next_position", "counts", "event_id_key")
    NEXT_POSITION_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_KEY_FIELD_NUMBER: _ClassVar[int]
    next_position: int
    counts: ImportCounts
    event_id_key: bytes
    def __init__(self, next_position: _Optional[int] = ..., counts: _Optional[_Union[ImportCounts, _Mapping]] = ..., event_id_key: _Optional[bytes] = ...) -> None: ...

class ImportProgress(_message.Message):
    __slots__ = ("through_position", "counts", "rejected", "durability")
    THROUGH_POSITION_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    through_position: int
    counts: ImportCounts
    rejected: _containers.RepeatedCompositeFieldContainer[ImportRejection]
    durability: _common_pb2.Durability
    def __init__(self, through_position: _Optional[int] = ..., counts: _Optional[_Union[ImportCounts, _Mapping]] = ..., rejected: _Optional[_Iterable[_Union[ImportRejection, _Mapping]]] = ..., durability: _Optional[_Union[_common_pb2.Durability, str]] = ...) -> None: ...

class ImportCounts(_message.Message):
    __slots__ = ("accepted_count", "repeated_count", "rejected_count")
    ACCEPTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REPEATED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    accepted_count: int
    repeated_count: int
    rejected_count: int
    def __init__(self, accepted_count: _Optional[int] = ..., repeated_count: _Optional[int] = ..., rejected_count: _Optional[int] = ...) -> None: ...

class ImportRejection(_message.Message):
    __slots__ = ("position", "code", "reason", "field", "message")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    position: int
    code: _code_pb2.Code
    reason: _errors_pb2.ErrorReason
    field: str
    message: str
    def __init__(self, position: _Optional[int] = ..., code: _Optional[_Union[_code_pb2.Code, str]] = ..., reason: _Optional[_Union[_errors_pb2.ErrorReason, str]] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class ImportSummary(_message.Message):
    __slots__ = ("through_position", "counts", "durability")
    THROUGH_POSITION_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    through_position: int
    counts: ImportCounts
    durability: _common_pb2.Durability
    def __init__(self, through_position: _Optional[int] = ..., counts: _Optional[_Union[ImportCounts, _Mapping]] = ..., durability: _Optional[_Union[_common_pb2.Durability, str]] = ...) -> None: ...
