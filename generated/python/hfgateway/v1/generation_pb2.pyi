import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from hfgateway.v1 import error_pb2 as _error_pb2
from hfgateway.v1 import generation_input_pb2 as _generation_input_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GENERATION_STATE_UNSPECIFIED: _ClassVar[GenerationState]
    GENERATION_STATE_PENDING: _ClassVar[GenerationState]
    GENERATION_STATE_UNCERTAIN: _ClassVar[GenerationState]
    GENERATION_STATE_QUEUED: _ClassVar[GenerationState]
    GENERATION_STATE_IN_PROGRESS: _ClassVar[GenerationState]
    GENERATION_STATE_COMPLETED: _ClassVar[GenerationState]
    GENERATION_STATE_FAILED: _ClassVar[GenerationState]
    GENERATION_STATE_NSFW: _ClassVar[GenerationState]
    GENERATION_STATE_CANCELED: _ClassVar[GenerationState]
    GENERATION_STATE_LOST: _ClassVar[GenerationState]

class MediaKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MEDIA_KIND_UNSPECIFIED: _ClassVar[MediaKind]
    MEDIA_KIND_IMAGE: _ClassVar[MediaKind]
    MEDIA_KIND_VIDEO: _ClassVar[MediaKind]
    MEDIA_KIND_AUDIO: _ClassVar[MediaKind]
    MEDIA_KIND_FILE: _ClassVar[MediaKind]

class ForecastBasis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORECAST_BASIS_UNSPECIFIED: _ClassVar[ForecastBasis]
    FORECAST_BASIS_SAME_SETTINGS: _ClassVar[ForecastBasis]
    FORECAST_BASIS_MODEL: _ClassVar[ForecastBasis]
    FORECAST_BASIS_KIND: _ClassVar[ForecastBasis]
    FORECAST_BASIS_BUILT_IN: _ClassVar[ForecastBasis]

class ChangeSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_SOURCE_UNSPECIFIED: _ClassVar[ChangeSource]
    CHANGE_SOURCE_GATEWAY: _ClassVar[ChangeSource]
    CHANGE_SOURCE_WEBHOOK: _ClassVar[ChangeSource]
    CHANGE_SOURCE_POLL: _ClassVar[ChangeSource]
    CHANGE_SOURCE_OPERATOR: _ClassVar[ChangeSource]
    CHANGE_SOURCE_SUBMIT: _ClassVar[ChangeSource]
    CHANGE_SOURCE_CANCEL: _ClassVar[ChangeSource]
    CHANGE_SOURCE_ADOPT: _ClassVar[ChangeSource]
GENERATION_STATE_UNSPECIFIED: GenerationState
GENERATION_STATE_PENDING: GenerationState
GENERATION_STATE_UNCERTAIN: GenerationState
GENERATION_STATE_QUEUED: GenerationState
GENERATION_STATE_IN_PROGRESS: GenerationState
GENERATION_STATE_COMPLETED: GenerationState
GENERATION_STATE_FAILED: GenerationState
GENERATION_STATE_NSFW: GenerationState
GENERATION_STATE_CANCELED: GenerationState
GENERATION_STATE_LOST: GenerationState
MEDIA_KIND_UNSPECIFIED: MediaKind
MEDIA_KIND_IMAGE: MediaKind
MEDIA_KIND_VIDEO: MediaKind
MEDIA_KIND_AUDIO: MediaKind
MEDIA_KIND_FILE: MediaKind
FORECAST_BASIS_UNSPECIFIED: ForecastBasis
FORECAST_BASIS_SAME_SETTINGS: ForecastBasis
FORECAST_BASIS_MODEL: ForecastBasis
FORECAST_BASIS_KIND: ForecastBasis
FORECAST_BASIS_BUILT_IN: ForecastBasis
CHANGE_SOURCE_UNSPECIFIED: ChangeSource
CHANGE_SOURCE_GATEWAY: ChangeSource
CHANGE_SOURCE_WEBHOOK: ChangeSource
CHANGE_SOURCE_POLL: ChangeSource
CHANGE_SOURCE_OPERATOR: ChangeSource
CHANGE_SOURCE_SUBMIT: ChangeSource
CHANGE_SOURCE_CANCEL: ChangeSource
CHANGE_SOURCE_ADOPT: ChangeSource

class Generation(_message.Message):
    __slots__ = ("id", "state", "done", "revision", "model_id", "outputs", "failure", "delay", "cancelable", "forecast", "input", "labels", "idempotency_key", "estimated_cost", "upstream", "create_time", "accept_time", "start_time", "end_time", "outputs_expire_time", "update_time", "used_input", "adopted")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    CANCELABLE_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_COST_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    USED_INPUT_FIELD_NUMBER: _ClassVar[int]
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: GenerationState
    done: bool
    revision: int
    model_id: str
    outputs: _containers.RepeatedCompositeFieldContainer[Output]
    failure: _error_pb2.Failure
    delay: _error_pb2.Failure
    cancelable: bool
    forecast: Forecast
    input: _generation_input_pb2.GenerationInput
    labels: _containers.ScalarMap[str, str]
    idempotency_key: str
    estimated_cost: Cost
    upstream: Upstream
    create_time: _timestamp_pb2.Timestamp
    accept_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    outputs_expire_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    used_input: _struct_pb2.Struct
    adopted: bool
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[GenerationState, str]] = ..., done: bool = ..., revision: _Optional[int] = ..., model_id: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[Output, _Mapping]]] = ..., failure: _Optional[_Union[_error_pb2.Failure, _Mapping]] = ..., delay: _Optional[_Union[_error_pb2.Failure, _Mapping]] = ..., cancelable: bool = ..., forecast: _Optional[_Union[Forecast, _Mapping]] = ..., input: _Optional[_Union[_generation_input_pb2.GenerationInput, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., idempotency_key: _Optional[str] = ..., estimated_cost: _Optional[_Union[Cost, _Mapping]] = ..., upstream: _Optional[_Union[Upstream, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accept_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outputs_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., used_input: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., adopted: bool = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("state", "kind", "url", "preview_url", "name", "content_type", "archived", "job_id", "archived_preview")
    STATE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_URL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_PREVIEW_FIELD_NUMBER: _ClassVar[int]
    state: GenerationState
    kind: MediaKind
    url: str
    preview_url: str
    name: str
    content_type: str
    archived: ArchivedFile
    job_id: str
    archived_preview: ArchivedFile
    def __init__(self, state: _Optional[_Union[GenerationState, str]] = ..., kind: _Optional[_Union[MediaKind, str]] = ..., url: _Optional[str] = ..., preview_url: _Optional[str] = ..., name: _Optional[str] = ..., content_type: _Optional[str] = ..., archived: _Optional[_Union[ArchivedFile, _Mapping]] = ..., job_id: _Optional[str] = ..., archived_preview: _Optional[_Union[ArchivedFile, _Mapping]] = ...) -> None: ...

class ArchivedFile(_message.Message):
    __slots__ = ("url", "size", "sha256")
    URL_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    url: str
    size: int
    sha256: str
    def __init__(self, url: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class Forecast(_message.Message):
    __slots__ = ("queue_position", "progress", "remaining", "basis", "overdue")
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_FIELD_NUMBER: _ClassVar[int]
    queue_position: int
    progress: float
    remaining: _duration_pb2.Duration
    basis: ForecastBasis
    overdue: bool
    def __init__(self, queue_position: _Optional[int] = ..., progress: _Optional[float] = ..., remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., basis: _Optional[_Union[ForecastBasis, str]] = ..., overdue: bool = ...) -> None: ...

class Cost(_message.Message):
    __slots__ = ("credits", "usd")
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    USD_FIELD_NUMBER: _ClassVar[int]
    credits: str
    usd: str
    def __init__(self, credits: _Optional[str] = ..., usd: _Optional[str] = ...) -> None: ...

class Upstream(_message.Message):
    __slots__ = ("request_id", "correlation_id", "status", "poll_count", "last_change_source", "other_results")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    POLL_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_CHANGE_SOURCE_FIELD_NUMBER: _ClassVar[int]
    OTHER_RESULTS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    correlation_id: str
    status: str
    poll_count: int
    last_change_source: ChangeSource
    other_results: _struct_pb2.Struct
    def __init__(self, request_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., status: _Optional[str] = ..., poll_count: _Optional[int] = ..., last_change_source: _Optional[_Union[ChangeSource, str]] = ..., other_results: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...
