import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from maywe.v1 import common_pb2 as _common_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecordPurchaseRequest(_message.Message):
    __slots__ = ("event_id", "customer_id", "purchased_at", "product", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PURCHASED_AT_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    purchased_at: _timestamp_pb2.Timestamp
    product: _common_pb2.Product
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., purchased_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., product: _Optional[_Union[_common_pb2.Product, _Mapping]] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class CloseProductRequest(_message.Message):
    __slots__ = ("event_id", "customer_id", "closed_at", "product", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AT_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    closed_at: _timestamp_pb2.Timestamp
    product: _common_pb2.Product
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., closed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., product: _Optional[_Union[_common_pb2.Product, _Mapping]] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class RecordConsentRequest(_message.Message):
    __slots__ = ("event_id", "customer_id", "obtained_at", "consent_type", "value", "wording_version", "expires_at", "product", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    OBTAINED_AT_FIELD_NUMBER: _ClassVar[int]
    CONSENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    WORDING_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    obtained_at: _timestamp_pb2.Timestamp
    consent_type: str
    value: str
    wording_version: int
    expires_at: _timestamp_pb2.Timestamp
    product: _common_pb2.Product
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., obtained_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., consent_type: _Optional[str] = ..., value: _Optional[str] = ..., wording_version: _Optional[int] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., product: _Optional[_Union[_common_pb2.Product, _Mapping]] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("event_id", "customer_id", "revoked_at", "selector", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    revoked_at: _timestamp_pb2.Timestamp
    selector: _common_pb2.Selector
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., revoked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., selector: _Optional[_Union[_common_pb2.Selector, _Mapping]] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class RestrictRequest(_message.Message):
    __slots__ = ("event_id", "customer_id", "kind", "selector", "effective_from", "effective_until", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_FROM_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    kind: str
    selector: _common_pb2.Selector
    effective_from: _timestamp_pb2.Timestamp
    effective_until: _timestamp_pb2.Timestamp
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., kind: _Optional[str] = ..., selector: _Optional[_Union[_common_pb2.Selector, _Mapping]] = ..., effective_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., effective_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class LiftRestrictionRequest(_message.Message):
    __slots__ = ("event_id", "customer_id", "restriction_event_id", "lifted_at", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    RESTRICTION_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    LIFTED_AT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    restriction_event_id: str
    lifted_at: _timestamp_pb2.Timestamp
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., restriction_event_id: _Optional[str] = ..., lifted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class RecordAcquisitionRequest(_message.Message):
    __slots__ = ("event_id", "customer_id", "partner", "acquired_at", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    PARTNER_FIELD_NUMBER: _ClassVar[int]
    ACQUIRED_AT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    partner: str
    acquired_at: _timestamp_pb2.Timestamp
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., partner: _Optional[str] = ..., acquired_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class VoidEventRequest(_message.Message):
    __slots__ = ("event_id", "voided_event_id", "cause", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    VOIDED_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    voided_event_id: str
    cause: str
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., voided_event_id: _Optional[str] = ..., cause: _Optional[str] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class MergeCustomersRequest(_message.Message):
    __slots__ = ("event_id", "from_customer_id", "into_customer_id", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    INTO_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    from_customer_id: str
    into_customer_id: str
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., from_customer_id: _Optional[str] = ..., into_customer_id: _Optional[str] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class SplitCustomerRequest(_message.Message):
    __slots__ = ("event_id", "customer_id", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class EraseCustomerRequest(_message.Message):
    __slots__ = ("event_id", "customer_id", "with_merged", "source")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    WITH_MERGED_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    with_merged: bool
    source: _common_pb2.Source
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., with_merged: _Optional[bool] = ..., source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("purchase", "product_closing", "consent", "revocation", "restriction", "lifting", "acquisition", "voiding", "merge", "split", "erasure")
    PURCHASE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_CLOSING_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    REVOCATION_FIELD_NUMBER: _ClassVar[int]
    RESTRICTION_FIELD_NUMBER: _ClassVar[int]
    LIFTING_FIELD_NUMBER: _ClassVar[int]
    ACQUISITION_FIELD_NUMBER: _ClassVar[int]
    VOIDING_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    ERASURE_FIELD_NUMBER: _ClassVar[int]
    purchase: RecordPurchaseRequest
    product_closing: CloseProductRequest
    consent: RecordConsentRequest
    revocation: RevokeRequest
    restriction: RestrictRequest
    lifting: LiftRestrictionRequest
    acquisition: RecordAcquisitionRequest
    voiding: VoidEventRequest
    merge: MergeCustomersRequest
    split: SplitCustomerRequest
    erasure: EraseCustomerRequest
    def __init__(self, purchase: _Optional[_Union[RecordPurchaseRequest, _Mapping]] = ..., product_closing: _Optional[_Union[CloseProductRequest, _Mapping]] = ..., consent: _Optional[_Union[RecordConsentRequest, _Mapping]] = ..., revocation: _Optional[_Union[RevokeRequest, _Mapping]] = ..., restriction: _Optional[_Union[RestrictRequest, _Mapping]] = ..., lifting: _Optional[_Union[LiftRestrictionRequest, _Mapping]] = ..., acquisition: _Optional[_Union[RecordAcquisitionRequest, _Mapping]] = ..., voiding: _Optional[_Union[VoidEventRequest, _Mapping]] = ..., merge: _Optional[_Union[MergeCustomersRequest, _Mapping]] = ..., split: _Optional[_Union[SplitCustomerRequest, _Mapping]] = ..., erasure: _Optional[_Union[EraseCustomerRequest, _Mapping]] = ...) -> None: ...

class RecordedEvent(_message.Message):
    __slots__ = ("event", "recorded_at", "voided_by_event_id", "voided_at", "caller")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    VOIDED_BY_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    VOIDED_AT_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    event: Event
    recorded_at: _timestamp_pb2.Timestamp
    voided_by_event_id: str
    voided_at: _timestamp_pb2.Timestamp
    caller: str
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ..., recorded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., voided_by_event_id: _Optional[str] = ..., voided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., caller: _Optional[str] = ...) -> None: ...
