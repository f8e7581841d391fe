import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from maywe.v1 import common_pb2 as _common_pb2
from maywe.v1 import evidence_pb2 as _evidence_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetDecisionRequest(_message.Message):
    __slots__ = ("decision_id",)
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    def __init__(self, decision_id: _Optional[str] = ...) -> None: ...

class GetDecisionResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: JournalledDecision
    def __init__(self, decision: _Optional[_Union[JournalledDecision, _Mapping]] = ...) -> None: ...

class ReplayDecisionRequest(_message.Message):
    __slots__ = ("decision_id",)
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    def __init__(self, decision_id: _Optional[str] = ...) -> None: ...

class ReplayDecisionResponse(_message.Message):
    __slots__ = ("decision", "replayed", "replayed_channels", "differences", "known_at", "known_at_by_time", "answer_known_then")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_BY_TIME_FIELD_NUMBER: _ClassVar[int]
    ANSWER_KNOWN_THEN_FIELD_NUMBER: _ClassVar[int]
    decision: JournalledDecision
    replayed: _evidence_pb2.Answer
    replayed_channels: _containers.RepeatedScalarFieldContainer[str]
    differences: _containers.RepeatedScalarFieldContainer[str]
    known_at: _timestamp_pb2.Timestamp
    known_at_by_time: bool
    answer_known_then: _evidence_pb2.Answer
    def __init__(self, decision: _Optional[_Union[JournalledDecision, _Mapping]] = ..., replayed: _Optional[_Union[_evidence_pb2.Answer, _Mapping]] = ..., replayed_channels: _Optional[_Iterable[str]] = ..., differences: _Optional[_Iterable[str]] = ..., known_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., known_at_by_time: _Optional[bool] = ..., answer_known_then: _Optional[_Union[_evidence_pb2.Answer, _Mapping]] = ...) -> None: ...

class JournalledDecision(_message.Message):
    __slots__ = ("decision_id", "answered_at", "caller", "customer_id", "contact", "share", "decided_at", "answer", "allowed_channels", "state_version", "catalog_publication", "outside_promise")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_AT_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CATALOG_PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_PROMISE_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    answered_at: _timestamp_pb2.Timestamp
    caller: str
    customer_id: str
    contact: _common_pb2.ContactQuestion
    share: _common_pb2.ShareQuestion
    decided_at: _timestamp_pb2.Timestamp
    answer: _evidence_pb2.Answer
    allowed_channels: _containers.RepeatedScalarFieldContainer[str]
    state_version: int
    catalog_publication: int
    outside_promise: bool
    def __init__(self, decision_id: _Optional[str] = ..., answered_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., caller: _Optional[str] = ..., customer_id: _Optional[str] = ..., contact: _Optional[_Union[_common_pb2.ContactQuestion, _Mapping]] = ..., share: _Optional[_Union[_common_pb2.ShareQuestion, _Mapping]] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., answer: _Optional[_Union[_evidence_pb2.Answer, _Mapping]] = ..., allowed_channels: _Optional[_Iterable[str]] = ..., state_version: _Optional[int] = ..., catalog_publication: _Optional[int] = ..., outside_promise: _Optional[bool] = ...) -> None: ...
