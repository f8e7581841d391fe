import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from maywe.v1 import common_pb2 as _common_pb2
from maywe.v1 import event_pb2 as _event_pb2
from maywe.v1 import evidence_pb2 as _evidence_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MayContactRequest(_message.Message):
    __slots__ = ("customer_id", "channel", "purpose", "at", "token", "receipt")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    channel: str
    purpose: str
    at: _timestamp_pb2.Timestamp
    token: str
    receipt: bool
    def __init__(self, customer_id: _Optional[str] = ..., channel: _Optional[str] = ..., purpose: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., token: _Optional[str] = ..., receipt: _Optional[bool] = ...) -> None: ...

class MayContactResponse(_message.Message):
    __slots__ = ("verdict", "reason", "not_after", "not_before", "basis", "allowed_channels", "state_version", "catalog_publication", "decided_at", "decision_id", "outside_promise", "receipt")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CATALOG_PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_PROMISE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    verdict: _common_pb2.Verdict
    reason: _common_pb2.Reason
    not_after: _timestamp_pb2.Timestamp
    not_before: _timestamp_pb2.Timestamp
    basis: _common_pb2.Basis
    allowed_channels: _containers.RepeatedScalarFieldContainer[str]
    state_version: int
    catalog_publication: int
    decided_at: _timestamp_pb2.Timestamp
    decision_id: str
    outside_promise: bool
    receipt: str
    def __init__(self, verdict: _Optional[_Union[_common_pb2.Verdict, str]] = ..., reason: _Optional[_Union[_common_pb2.Reason, str]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., basis: _Optional[_Union[_common_pb2.Basis, _Mapping]] = ..., allowed_channels: _Optional[_Iterable[str]] = ..., state_version: _Optional[int] = ..., catalog_publication: _Optional[int] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decision_id: _Optional[str] = ..., outside_promise: _Optional[bool] = ..., receipt: _Optional[str] = ...) -> None: ...

class MayShareRequest(_message.Message):
    __slots__ = ("customer_id", "partner", "datasets", "purpose", "at", "token", "receipt")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PARTNER_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    partner: str
    datasets: _containers.RepeatedScalarFieldContainer[str]
    purpose: str
    at: _timestamp_pb2.Timestamp
    token: str
    receipt: bool
    def __init__(self, customer_id: _Optional[str] = ..., partner: _Optional[str] = ..., datasets: _Optional[_Iterable[str]] = ..., purpose: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., token: _Optional[str] = ..., receipt: _Optional[bool] = ...) -> None: ...

class MayShareResponse(_message.Message):
    __slots__ = ("verdict", "reason", "not_after", "not_before", "datasets", "allowed_datasets", "state_version", "catalog_publication", "decided_at", "decision_id", "outside_promise", "receipt")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_DATASETS_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CATALOG_PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_PROMISE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    verdict: _common_pb2.Verdict
    reason: _common_pb2.Reason
    not_after: _timestamp_pb2.Timestamp
    not_before: _timestamp_pb2.Timestamp
    datasets: _containers.RepeatedCompositeFieldContainer[_common_pb2.DatasetAnswer]
    allowed_datasets: _containers.RepeatedScalarFieldContainer[str]
    state_version: int
    catalog_publication: int
    decided_at: _timestamp_pb2.Timestamp
    decision_id: str
    outside_promise: bool
    receipt: str
    def __init__(self, verdict: _Optional[_Union[_common_pb2.Verdict, str]] = ..., reason: _Optional[_Union[_common_pb2.Reason, str]] = ..., not_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., datasets: _Optional[_Iterable[_Union[_common_pb2.DatasetAnswer, _Mapping]]] = ..., allowed_datasets: _Optional[_Iterable[str]] = ..., state_version: _Optional[int] = ..., catalog_publication: _Optional[int] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decision_id: _Optional[str] = ..., outside_promise: _Optional[bool] = ..., receipt: _Optional[str] = ...) -> None: ...

class BatchCheckRequest(_message.Message):
    __slots__ = ("checks",)
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[BatchCheckItem]
    def __init__(self, checks: _Optional[_Iterable[_Union[BatchCheckItem, _Mapping]]] = ...) -> None: ...

class BatchCheckItem(_message.Message):
    __slots__ = ("contact", "share")
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    contact: MayContactRequest
    share: MayShareRequest
    def __init__(self, contact: _Optional[_Union[MayContactRequest, _Mapping]] = ..., share: _Optional[_Union[MayShareRequest, _Mapping]] = ...) -> None: ...

class BatchCheckResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchCheckResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchCheckResult, _Mapping]]] = ...) -> None: ...

class BatchCheckResult(_message.Message):
    __slots__ = ("contact", "share", "error")
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    contact: MayContactResponse
    share: MayShareResponse
    error: _status_pb2.Status
    def __init__(self, contact: _Optional[_Union[MayContactResponse, _Mapping]] = ..., share: _Optional[_Union[MayShareResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class FilterAudienceRequest(_message.Message):
    __slots__ = ("question", "chunk")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    question: AudienceQuestion
    chunk: AudienceChunk
    def __init__(self, question: _Optional[_Union[AudienceQuestion, _Mapping]] = ..., chunk: _Optional[_Union[AudienceChunk, _Mapping]] = ...) -> None: ...

class AudienceQuestion(_message.Message):
    __slots__ = ("contact", "share", "at", "token")
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    contact: _common_pb2.ContactQuestion
    share: _common_pb2.ShareQuestion
    at: _timestamp_pb2.Timestamp
    token: str
    def __init__(self, contact: _Optional[_Union[_common_pb2.ContactQuestion, _Mapping]] = ..., share: _Optional[_Union[_common_pb2.ShareQuestion, _Mapping]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., token: _Optional[str] = ...) -> None: ...

class AudienceChunk(_message.Message):
    __slots__ = ("customer_ids",)
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, customer_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class FilterAudienceResponse(_message.Message):
    __slots__ = ("verdicts", "end")
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    verdicts: AudienceVerdicts
    end: AudienceEnd
    def __init__(self, verdicts: _Optional[_Union[AudienceVerdicts, _Mapping]] = ..., end: _Optional[_Union[AudienceEnd, _Mapping]] = ...) -> None: ...

class AudienceVerdicts(_message.Message):
    __slots__ = ("verdicts", "reasons", "decided_at", "catalog_publication", "outside_promise")
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    CATALOG_PUBLICATION_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_PROMISE_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedScalarFieldContainer[_common_pb2.Verdict]
    reasons: _containers.RepeatedScalarFieldContainer[_common_pb2.Reason]
    decided_at: _timestamp_pb2.Timestamp
    catalog_publication: int
    outside_promise: bool
    def __init__(self, verdicts: _Optional[_Iterable[_Union[_common_pb2.Verdict, str]]] = ..., reasons: _Optional[_Iterable[_Union[_common_pb2.Reason, str]]] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., catalog_publication: _Optional[int] = ..., outside_promise: _Optional[bool] = ...) -> None: ...

class AudienceEnd(_message.Message):
    __slots__ = ("customer_count", "counts")
    CUSTOMER_COUNT_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    customer_count: int
    counts: _containers.RepeatedCompositeFieldContainer[VerdictCount]
    def __init__(self, customer_count: _Optional[int] = ..., counts: _Optional[_Iterable[_Union[VerdictCount, _Mapping]]] = ...) -> None: ...

class VerdictCount(_message.Message):
    __slots__ = ("verdict", "reason", "customer_count")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_COUNT_FIELD_NUMBER: _ClassVar[int]
    verdict: _common_pb2.Verdict
    reason: _common_pb2.Reason
    customer_count: int
    def __init__(self, verdict: _Optional[_Union[_common_pb2.Verdict, str]] = ..., reason: _Optional[_Union[_common_pb2.Reason, str]] = ..., customer_count: _Optional[int] = ...) -> None: ...

class ListAllowedRequest(_message.Message):
    __slots__ = ("contact", "share", "at", "token", "chunk_size", "cursor")
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SIZE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    contact: _common_pb2.ContactQuestion
    share: _common_pb2.ShareQuestion
    at: _timestamp_pb2.Timestamp
    token: str
    chunk_size: int
    cursor: str
    def __init__(self, contact: _Optional[_Union[_common_pb2.ContactQuestion, _Mapping]] = ..., share: _Optional[_Union[_common_pb2.ShareQuestion, _Mapping]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., token: _Optional[str] = ..., chunk_size: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListAllowedResponse(_message.Message):
    __slots__ = ("chunk", "end")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    chunk: AllowedChunk
    end: AllowedEnd
    def __init__(self, chunk: _Optional[_Union[AllowedChunk, _Mapping]] = ..., end: _Optional[_Union[AllowedEnd, _Mapping]] = ...) -> None: ...

class AllowedChunk(_message.Message):
    __slots__ = ("customer_ids", "cursor", "decided_at")
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    cursor: str
    decided_at: _timestamp_pb2.Timestamp
    def __init__(self, customer_ids: _Optional[_Iterable[str]] = ..., cursor: _Optional[str] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AllowedEnd(_message.Message):
    __slots__ = ("customer_count",)
    CUSTOMER_COUNT_FIELD_NUMBER: _ClassVar[int]
    customer_count: int
    def __init__(self, customer_count: _Optional[int] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("customer_id", "contact", "share", "process", "valid_at", "known_at")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    contact: _common_pb2.ContactQuestion
    share: _common_pb2.ShareQuestion
    process: _common_pb2.ProcessQuestion
    valid_at: _timestamp_pb2.Timestamp
    known_at: _timestamp_pb2.Timestamp
    def __init__(self, customer_id: _Optional[str] = ..., contact: _Optional[_Union[_common_pb2.ContactQuestion, _Mapping]] = ..., share: _Optional[_Union[_common_pb2.ShareQuestion, _Mapping]] = ..., process: _Optional[_Union[_common_pb2.ProcessQuestion, _Mapping]] = ..., valid_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., known_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("answer", "answer_known_then", "answer_known_now", "valid_at", "known_at", "zone", "customer_ids", "grants", "restrictions", "suspension", "events", "wordings", "matrix_rows", "publications")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_KNOWN_THEN_FIELD_NUMBER: _ClassVar[int]
    ANSWER_KNOWN_NOW_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_FIELD_NUMBER: _ClassVar[int]
    KNOWN_AT_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    RESTRICTIONS_FIELD_NUMBER: _ClassVar[int]
    SUSPENSION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    WORDINGS_FIELD_NUMBER: _ClassVar[int]
    MATRIX_ROWS_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    answer: _evidence_pb2.Answer
    answer_known_then: _evidence_pb2.Answer
    answer_known_now: _evidence_pb2.Answer
    valid_at: _timestamp_pb2.Timestamp
    known_at: _timestamp_pb2.Timestamp
    zone: str
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    grants: _containers.RepeatedCompositeFieldContainer[_evidence_pb2.Grant]
    restrictions: _containers.RepeatedCompositeFieldContainer[_evidence_pb2.Restriction]
    suspension: _evidence_pb2.PartnerSuspension
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.RecordedEvent]
    wordings: _containers.RepeatedCompositeFieldContainer[_evidence_pb2.Wording]
    matrix_rows: _containers.RepeatedCompositeFieldContainer[_evidence_pb2.MatrixRow]
    publications: _containers.RepeatedCompositeFieldContainer[_evidence_pb2.PublicationReference]
    def __init__(self, answer: _Optional[_Union[_evidence_pb2.Answer, _Mapping]] = ..., answer_known_then: _Optional[_Union[_evidence_pb2.Answer, _Mapping]] = ..., answer_known_now: _Optional[_Union[_evidence_pb2.Answer, _Mapping]] = ..., valid_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., known_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., zone: _Optional[str] = ..., customer_ids: _Optional[_Iterable[str]] = ..., grants: _Optional[_Iterable[_Union[_evidence_pb2.Grant, _Mapping]]] = ..., restrictions: _Optional[_Iterable[_Union[_evidence_pb2.Restriction, _Mapping]]] = ..., suspension: _Optional[_Union[_evidence_pb2.PartnerSuspension, _Mapping]] = ..., events: _Optional[_Iterable[_Union[_event_pb2.RecordedEvent, _Mapping]]] = ..., wordings: _Optional[_Iterable[_Union[_evidence_pb2.Wording, _Mapping]]] = ..., matrix_rows: _Optional[_Iterable[_Union[_evidence_pb2.MatrixRow, _Mapping]]] = ..., publications: _Optional[_Iterable[_Union[_evidence_pb2.PublicationReference, _Mapping]]] = ...) -> None: ...
