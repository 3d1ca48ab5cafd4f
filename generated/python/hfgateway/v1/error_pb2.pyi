import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_INPUT: _ClassVar[ErrorReason]
    ERROR_REASON_INPUT_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_CREDENTIALS: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_ALLOWED: _ClassVar[ErrorReason]
    ERROR_REASON_FEATURE_NOT_ENABLED: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_MODEL_UNKNOWN: _ClassVar[ErrorReason]
    ERROR_REASON_MODEL_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_IDEMPOTENCY_KEY_REUSED: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_CANCELABLE: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_DONE: _ClassVar[ErrorReason]
    ERROR_REASON_QUOTA_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_INSUFFICIENT_CREDITS: _ClassVar[ErrorReason]
    ERROR_REASON_UPSTREAM_SATURATED: _ClassVar[ErrorReason]
    ERROR_REASON_GATEWAY_OVERLOADED: _ClassVar[ErrorReason]
    ERROR_REASON_UPSTREAM_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_GATEWAY_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_UPSTREAM_CREDENTIALS_REFUSED: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_SUBMISSION_UNRESOLVED: _ClassVar[ErrorReason]
    ERROR_REASON_SESSION_BUSY: _ClassVar[ErrorReason]
    ERROR_REASON_GENERATION_FAILED: _ClassVar[ErrorReason]
    ERROR_REASON_MODERATED: _ClassVar[ErrorReason]
    ERROR_REASON_START_TIMEOUT_EXCEEDED: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_INPUT: ErrorReason
ERROR_REASON_INPUT_REFUSED: ErrorReason
ERROR_REASON_INVALID_CREDENTIALS: ErrorReason
ERROR_REASON_NOT_ALLOWED: ErrorReason
ERROR_REASON_FEATURE_NOT_ENABLED: ErrorReason
ERROR_REASON_NOT_FOUND: ErrorReason
ERROR_REASON_MODEL_UNKNOWN: ErrorReason
ERROR_REASON_MODEL_UNAVAILABLE: ErrorReason
ERROR_REASON_IDEMPOTENCY_KEY_REUSED: ErrorReason
ERROR_REASON_NOT_CANCELABLE: ErrorReason
ERROR_REASON_NOT_DONE: ErrorReason
ERROR_REASON_QUOTA_EXCEEDED: ErrorReason
ERROR_REASON_INSUFFICIENT_CREDITS: ErrorReason
ERROR_REASON_UPSTREAM_SATURATED: ErrorReason
ERROR_REASON_GATEWAY_OVERLOADED: ErrorReason
ERROR_REASON_UPSTREAM_UNAVAILABLE: ErrorReason
ERROR_REASON_GATEWAY_UNAVAILABLE: ErrorReason
ERROR_REASON_UPSTREAM_CREDENTIALS_REFUSED: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_SUBMISSION_UNRESOLVED: ErrorReason
ERROR_REASON_SESSION_BUSY: ErrorReason
ERROR_REASON_GENERATION_FAILED: ErrorReason
ERROR_REASON_MODERATED: ErrorReason
ERROR_REASON_START_TIMEOUT_EXCEEDED: ErrorReason

class Failure(_message.Message):
    __slots__ = ("reason", "message", "field_violations", "retryable", "retry_delay", "metadata", "upstream_response")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    reason: ErrorReason
    message: str
    field_violations: _containers.RepeatedCompositeFieldContainer[FieldViolation]
    retryable: bool
    retry_delay: _duration_pb2.Duration
    metadata: _containers.ScalarMap[str, str]
    upstream_response: _struct_pb2.Value
    def __init__(self, reason: _Optional[_Union[ErrorReason, str]] = ..., message: _Optional[str] = ..., field_violations: _Optional[_Iterable[_Union[FieldViolation, _Mapping]]] = ..., retryable: bool = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., upstream_response: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...

class FieldViolation(_message.Message):
    __slots__ = ("field", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    description: str
    def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...
