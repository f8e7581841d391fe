import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScopeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCOPE_KIND_UNSPECIFIED: _ClassVar[ScopeKind]
    SCOPE_KIND_CONTACT: _ClassVar[ScopeKind]
    SCOPE_KIND_SHARE: _ClassVar[ScopeKind]
    SCOPE_KIND_PROCESS: _ClassVar[ScopeKind]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_ALLOW: _ClassVar[Verdict]
    VERDICT_DENY: _ClassVar[Verdict]
    VERDICT_UNDETERMINED: _ClassVar[Verdict]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_ALLOWED: _ClassVar[Reason]
    REASON_UNKNOWN_CUSTOMER: _ClassVar[Reason]
    REASON_RESTRICTED: _ClassVar[Reason]
    REASON_PARTNER_SUSPENDED: _ClassVar[Reason]
    REASON_CONSENT_REVOKED: _ClassVar[Reason]
    REASON_CONSENT_REFUSED: _ClassVar[Reason]
    REASON_PRODUCT_CLOSED: _ClassVar[Reason]
    REASON_CONSENT_SUPERSEDED: _ClassVar[Reason]
    REASON_CONSENT_EXPIRED: _ClassVar[Reason]
    REASON_CONSENT_NOT_YET_VALID: _ClassVar[Reason]
    REASON_NO_CONSENT: _ClassVar[Reason]
    REASON_UNAVAILABLE: _ClassVar[Reason]
    REASON_WITHHELD: _ClassVar[Reason]

class ChangeDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_DIRECTION_UNSPECIFIED: _ClassVar[ChangeDirection]
    CHANGE_DIRECTION_NARROWED: _ClassVar[ChangeDirection]
    CHANGE_DIRECTION_WIDENED: _ClassVar[ChangeDirection]
    CHANGE_DIRECTION_CHANGED: _ClassVar[ChangeDirection]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_UNSPECIFIED: _ClassVar[Durability]
    DURABILITY_DURABLE: _ClassVar[Durability]
    DURABILITY_EFFECTIVE: _ClassVar[Durability]

class UnmatchedCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNMATCHED_CAUSE_UNSPECIFIED: _ClassVar[UnmatchedCause]
    UNMATCHED_CAUSE_NO_MATRIX_ROW: _ClassVar[UnmatchedCause]
    UNMATCHED_CAUSE_NO_WORDING_IN_FORCE: _ClassVar[UnmatchedCause]
SCOPE_KIND_UNSPECIFIED: ScopeKind
SCOPE_KIND_CONTACT: ScopeKind
SCOPE_KIND_SHARE: ScopeKind
SCOPE_KIND_PROCESS: ScopeKind
VERDICT_UNSPECIFIED: Verdict
VERDICT_ALLOW: Verdict
VERDICT_DENY: Verdict
VERDICT_UNDETERMINED: Verdict
REASON_UNSPECIFIED: Reason
REASON_ALLOWED: Reason
REASON_UNKNOWN_CUSTOMER: Reason
REASON_RESTRICTED: Reason
REASON_PARTNER_SUSPENDED: Reason
REASON_CONSENT_REVOKED: Reason
REASON_CONSENT_REFUSED: Reason
REASON_PRODUCT_CLOSED: Reason
REASON_CONSENT_SUPERSEDED: Reason
REASON_CONSENT_EXPIRED: Reason
REASON_CONSENT_NOT_YET_VALID: Reason
REASON_NO_CONSENT: Reason
REASON_UNAVAILABLE: Reason
REASON_WITHHELD: Reason
CHANGE_DIRECTION_UNSPECIFIED: ChangeDirection
CHANGE_DIRECTION_NARROWED: ChangeDirection
CHANGE_DIRECTION_WIDENED: ChangeDirection
CHANGE_DIRECTION_CHANGED: ChangeDirection
DURABILITY_UNSPECIFIED: Durability
DURABILITY_DURABLE: Durability
DURABILITY_EFFECTIVE: Durability
UNMATCHED_CAUSE_UNSPECIFIED: UnmatchedCause
UNMATCHED_CAUSE_NO_MATRIX_ROW: UnmatchedCause
UNMATCHED_CAUSE_NO_WORDING_IN_FORCE: UnmatchedCause

class Source(_message.Message):
    __slots__ = ("process", "channel", "document", "recorded_by")
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_BY_FIELD_NUMBER: _ClassVar[int]
    process: str
    channel: str
    document: str
    recorded_by: str
    def __init__(self, process: _Optional[str] = ..., channel: _Optional[str] = ..., document: _Optional[str] = ..., recorded_by: _Optional[str] = ...) -> None: ...

class Product(_message.Message):
    __slots__ = ("system_code", "product_type", "series", "number")
    SYSTEM_CODE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    system_code: str
    product_type: str
    series: str
    number: str
    def __init__(self, system_code: _Optional[str] = ..., product_type: _Optional[str] = ..., series: _Optional[str] = ..., number: _Optional[str] = ...) -> None: ...

class Scope(_message.Message):
    __slots__ = ("kind", "purpose", "channel", "partner", "dataset")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PARTNER_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    kind: ScopeKind
    purpose: str
    channel: str
    partner: str
    dataset: str
    def __init__(self, kind: _Optional[_Union[ScopeKind, str]] = ..., purpose: _Optional[str] = ..., channel: _Optional[str] = ..., partner: _Optional[str] = ..., dataset: _Optional[str] = ...) -> None: ...

class Selector(_message.Message):
    __slots__ = ("all", "kind", "purpose", "channel", "partner", "dataset", "consent_type", "event_id")
    ALL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PARTNER_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    CONSENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    all: bool
    kind: ScopeKind
    purpose: str
    channel: str
    partner: str
    dataset: str
    consent_type: str
    event_id: str
    def __init__(self, all: _Optional[bool] = ..., kind: _Optional[_Union[ScopeKind, str]] = ..., purpose: _Optional[str] = ..., channel: _Optional[str] = ..., partner: _Optional[str] = ..., dataset: _Optional[str] = ..., consent_type: _Optional[str] = ..., event_id: _Optional[str] = ...) -> None: ...

class ContactQuestion(_message.Message):
    __slots__ = ("channel", "purpose")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    channel: str
    purpose: str
    def __init__(self, channel: _Optional[str] = ..., purpose: _Optional[str] = ...) -> None: ...

class ShareQuestion(_message.Message):
    __slots__ = ("partner", "datasets", "purpose")
    PARTNER_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    partner: str
    datasets: _containers.RepeatedScalarFieldContainer[str]
    purpose: str
    def __init__(self, partner: _Optional[str] = ..., datasets: _Optional[_Iterable[str]] = ..., purpose: _Optional[str] = ...) -> None: ...

class ProcessQuestion(_message.Message):
    __slots__ = ("purpose",)
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    def __init__(self, purpose: _Optional[str] = ...) -> None: ...

class Basis(_message.Message):
    __slots__ = ("event_id", "consent_type", "wording_version", "product", "obtained_at", "ends_at")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CONSENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    WORDING_VERSION_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    OBTAINED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    consent_type: str
    wording_version: int
    product: Product
    obtained_at: _timestamp_pb2.Timestamp
    ends_at: _timestamp_pb2.Timestamp
    def __init__(self, event_id: _Optional[str] = ..., consent_type: _Optional[str] = ..., wording_version: _Optional[int] = ..., product: _Optional[_Union[Product, _Mapping]] = ..., obtained_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DatasetAnswer(_message.Message):
    __slots__ = ("dataset", "verdict", "reason", "not_after", "basis")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    verdict: Verdict
    reason: Reason
    not_after: _timestamp_pb2.Timestamp
    basis: Basis
    def __init__(self, dataset: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., reason: _Optional[_Union[Reason, str]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., basis: _Optional[_Union[Basis, _Mapping]] = ...) -> None: ...

class ScopeAnswer(_message.Message):
    __slots__ = ("scope", "verdict", "reason", "not_after", "basis")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    verdict: Verdict
    reason: Reason
    not_after: _timestamp_pb2.Timestamp
    basis: Basis
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., reason: _Optional[_Union[Reason, str]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., basis: _Optional[_Union[Basis, _Mapping]] = ...) -> None: ...

class ScopeChange(_message.Message):
    __slots__ = ("scope", "before", "after", "direction")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    before: ScopeAnswer
    after: ScopeAnswer
    direction: ChangeDirection
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ..., before: _Optional[_Union[ScopeAnswer, _Mapping]] = ..., after: _Optional[_Union[ScopeAnswer, _Mapping]] = ..., direction: _Optional[_Union[ChangeDirection, str]] = ...) -> None: ...

class Acknowledgement(_message.Message):
    __slots__ = ("durability", "token", "recorded_at", "repeat")
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    REPEAT_FIELD_NUMBER: _ClassVar[int]
    durability: Durability
    token: str
    recorded_at: _timestamp_pb2.Timestamp
    repeat: bool
    def __init__(self, durability: _Optional[_Union[Durability, str]] = ..., token: _Optional[str] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., repeat: _Optional[bool] = ...) -> None: ...
