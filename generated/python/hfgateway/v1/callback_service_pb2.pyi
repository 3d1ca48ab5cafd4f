import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from hfgateway.v1 import generation_service_pb2 as _generation_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeliveryProblem(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_PROBLEM_UNSPECIFIED: _ClassVar[DeliveryProblem]
    DELIVERY_PROBLEM_STATUS: _ClassVar[DeliveryProblem]
    DELIVERY_PROBLEM_REDIRECT: _ClassVar[DeliveryProblem]
    DELIVERY_PROBLEM_GONE: _ClassVar[DeliveryProblem]
    DELIVERY_PROBLEM_TIMEOUT: _ClassVar[DeliveryProblem]
    DELIVERY_PROBLEM_CONNECTION: _ClassVar[DeliveryProblem]
    DELIVERY_PROBLEM_CERTIFICATE: _ClassVar[DeliveryProblem]
    DELIVERY_PROBLEM_ADDRESS_REFUSED: _ClassVar[DeliveryProblem]

class DeliveryState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_STATE_UNSPECIFIED: _ClassVar[DeliveryState]
    DELIVERY_STATE_PENDING: _ClassVar[DeliveryState]
    DELIVERY_STATE_DELIVERED: _ClassVar[DeliveryState]
    DELIVERY_STATE_FAILED: _ClassVar[DeliveryState]
DELIVERY_PROBLEM_UNSPECIFIED: DeliveryProblem
DELIVERY_PROBLEM_STATUS: DeliveryProblem
DELIVERY_PROBLEM_REDIRECT: DeliveryProblem
DELIVERY_PROBLEM_GONE: DeliveryProblem
DELIVERY_PROBLEM_TIMEOUT: DeliveryProblem
DELIVERY_PROBLEM_CONNECTION: DeliveryProblem
DELIVERY_PROBLEM_CERTIFICATE: DeliveryProblem
DELIVERY_PROBLEM_ADDRESS_REFUSED: DeliveryProblem
DELIVERY_STATE_UNSPECIFIED: DeliveryState
DELIVERY_STATE_PENDING: DeliveryState
DELIVERY_STATE_DELIVERED: DeliveryState
DELIVERY_STATE_FAILED: DeliveryState

class Callback(_message.Message):
    __slots__ = ("id", "url", "filter", "every_change", "paused", "problem", "problem_http_status", "problem_time", "create_time", "old_secrets_expire_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    EVERY_CHANGE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    OLD_SECRETS_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    url: str
    filter: _generation_service_pb2.GenerationFilter
    every_change: bool
    paused: bool
    problem: DeliveryProblem
    problem_http_status: int
    problem_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    old_secrets_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., url: _Optional[str] = ..., filter: _Optional[_Union[_generation_service_pb2.GenerationFilter, _Mapping]] = ..., every_change: bool = ..., paused: bool = ..., problem: _Optional[_Union[DeliveryProblem, str]] = ..., problem_http_status: _Optional[int] = ..., problem_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., old_secrets_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("id", "callback_id", "generation_id", "revision", "state", "attempts", "problem", "http_status", "create_time", "last_attempt_time", "next_attempt_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    callback_id: str
    generation_id: str
    revision: int
    state: DeliveryState
    attempts: int
    problem: DeliveryProblem
    http_status: int
    create_time: _timestamp_pb2.Timestamp
    last_attempt_time: _timestamp_pb2.Timestamp
    next_attempt_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., callback_id: _Optional[str] = ..., generation_id: _Optional[str] = ..., revision: _Optional[int] = ..., state: _Optional[_Union[DeliveryState, str]] = ..., attempts: _Optional[int] = ..., problem: _Optional[_Union[DeliveryProblem, str]] = ..., http_status: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateCallbackRequest(_message.Message):
    __slots__ = ("url", "filter", "every_change", "idempotency_key")
    URL_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    EVERY_CHANGE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    url: str
    filter: _generation_service_pb2.GenerationFilter
    every_change: bool
    idempotency_key: str
    def __init__(self, url: _Optional[str] = ..., filter: _Optional[_Union[_generation_service_pb2.GenerationFilter, _Mapping]] = ..., every_change: bool = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateCallbackResponse(_message.Message):
    __slots__ = ("callback", "secret", "replayed")
    CALLBACK_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    callback: Callback
    secret: str
    replayed: bool
    def __init__(self, callback: _Optional[_Union[Callback, _Mapping]] = ..., secret: _Optional[str] = ..., replayed: bool = ...) -> None: ...

class GetCallbackRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetCallbackResponse(_message.Message):
    __slots__ = ("callback",)
    CALLBACK_FIELD_NUMBER: _ClassVar[int]
    callback: Callback
    def __init__(self, callback: _Optional[_Union[Callback, _Mapping]] = ...) -> None: ...

class ListCallbacksRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCallbacksResponse(_message.Message):
    __slots__ = ("callbacks", "next_page_token")
    CALLBACKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    callbacks: _containers.RepeatedCompositeFieldContainer[Callback]
    next_page_token: str
    def __init__(self, callbacks: _Optional[_Iterable[_Union[Callback, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCallbackRequest(_message.Message):
    __slots__ = ("id", "paused", "filter", "every_change")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    EVERY_CHANGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    paused: bool
    filter: _generation_service_pb2.GenerationFilter
    every_change: bool
    def __init__(self, id: _Optional[str] = ..., paused: bool = ..., filter: _Optional[_Union[_generation_service_pb2.GenerationFilter, _Mapping]] = ..., every_change: bool = ...) -> None: ...

class UpdateCallbackResponse(_message.Message):
    __slots__ = ("callback",)
    CALLBACK_FIELD_NUMBER: _ClassVar[int]
    callback: Callback
    def __init__(self, callback: _Optional[_Union[Callback, _Mapping]] = ...) -> None: ...

class DeleteCallbackRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DeleteCallbackResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RotateCallbackSecretRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RotateCallbackSecretResponse(_message.Message):
    __slots__ = ("callback", "secret")
    CALLBACK_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    callback: Callback
    secret: str
    def __init__(self, callback: _Optional[_Union[Callback, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class TestCallbackRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class TestCallbackResponse(_message.Message):
    __slots__ = ("delivery",)
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    delivery: Delivery
    def __init__(self, delivery: _Optional[_Union[Delivery, _Mapping]] = ...) -> None: ...

class ListDeliveriesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "callback_id", "generation_id", "failed_only")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CALLBACK_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_ID_FIELD_NUMBER: _ClassVar[int]
    FAILED_ONLY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    callback_id: str
    generation_id: str
    failed_only: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., callback_id: _Optional[str] = ..., generation_id: _Optional[str] = ..., failed_only: bool = ...) -> None: ...

class ListDeliveriesResponse(_message.Message):
    __slots__ = ("deliveries", "next_page_token")
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[Delivery]
    next_page_token: str
    def __init__(self, deliveries: _Optional[_Iterable[_Union[Delivery, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RedeliverDeliveryRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RedeliverDeliveryResponse(_message.Message):
    __slots__ = ("delivery",)
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    delivery: Delivery
    def __init__(self, delivery: _Optional[_Union[Delivery, _Mapping]] = ...) -> None: ...
