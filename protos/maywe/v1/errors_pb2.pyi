from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_FIELD_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_CATALOG_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_STREAM_OUT_OF_ORDER: _ClassVar[ErrorReason]
    ERROR_REASON_EVENT_ID_TAKEN: _ClassVar[ErrorReason]
    ERROR_REASON_PUBLICATION_ID_TAKEN: _ClassVar[ErrorReason]
    ERROR_REASON_EVENT_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_PUBLICATION_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_ALREADY_MERGED: _ClassVar[ErrorReason]
    ERROR_REASON_MERGE_CIRCLE: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_MERGED: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_VOIDABLE: _ClassVar[ErrorReason]
    ERROR_REASON_ALREADY_VOID: _ClassVar[ErrorReason]
    ERROR_REASON_CATALOG_CONFLICT: _ClassVar[ErrorReason]
    ERROR_REASON_CURSOR_TOO_OLD: _ClassVar[ErrorReason]
    ERROR_REASON_PUBLICATION_OUTDATED: _ClassVar[ErrorReason]
    ERROR_REASON_IMPORT_IN_PROGRESS: _ClassVar[ErrorReason]
    ERROR_REASON_OVERLOADED: _ClassVar[ErrorReason]
    ERROR_REASON_STORE_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_SHUTTING_DOWN: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_FIELD_INVALID: ErrorReason
ERROR_REASON_CATALOG_INVALID: ErrorReason
ERROR_REASON_STREAM_OUT_OF_ORDER: ErrorReason
ERROR_REASON_EVENT_ID_TAKEN: ErrorReason
ERROR_REASON_PUBLICATION_ID_TAKEN: ErrorReason
ERROR_REASON_EVENT_NOT_FOUND: ErrorReason
ERROR_REASON_PUBLICATION_NOT_FOUND: ErrorReason
ERROR_REASON_ALREADY_MERGED: ErrorReason
ERROR_REASON_MERGE_CIRCLE: ErrorReason
ERROR_REASON_NOT_MERGED: ErrorReason
ERROR_REASON_NOT_VOIDABLE: ErrorReason
ERROR_REASON_ALREADY_VOID: ErrorReason
ERROR_REASON_CATALOG_CONFLICT: ErrorReason
ERROR_REASON_CURSOR_TOO_OLD: ErrorReason
ERROR_REASON_PUBLICATION_OUTDATED: ErrorReason
ERROR_REASON_IMPORT_IN_PROGRESS: ErrorReason
ERROR_REASON_OVERLOADED: ErrorReason
ERROR_REASON_STORE_UNAVAILABLE: ErrorReason
ERROR_REASON_SHUTTING_DOWN: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
