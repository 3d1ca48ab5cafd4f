import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from hfgateway.v1 import error_pb2 as _error_pb2
from hfgateway.v1 import generation_pb2 as _generation_pb2
from hfgateway.v1 import generation_input_pb2 as _generation_input_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WaitFor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WAIT_FOR_UNSPECIFIED: _ClassVar[WaitFor]
    WAIT_FOR_STORED: _ClassVar[WaitFor]
    WAIT_FOR_ACCEPTED: _ClassVar[WaitFor]
    WAIT_FOR_DONE: _ClassVar[WaitFor]
WAIT_FOR_UNSPECIFIED: WaitFor
WAIT_FOR_STORED: WaitFor
WAIT_FOR_ACCEPTED: WaitFor
WAIT_FOR_DONE: WaitFor

class SubmitGenerationRequest(_message.Message):
    __slots__ = ("input", "idempotency_key", "labels", "wait_for", "wait_timeout", "start_timeout", "fail_when_saturated", "outputs_ttl")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INPUT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_FIELD_NUMBER: _ClassVar[int]
    WAIT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    START_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    FAIL_WHEN_SATURATED_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_TTL_FIELD_NUMBER: _ClassVar[int]
    input: _generation_input_pb2.GenerationInput
    idempotency_key: str
    labels: _containers.ScalarMap[str, str]
    wait_for: WaitFor
    wait_timeout: _duration_pb2.Duration
    start_timeout: _duration_pb2.Duration
    fail_when_saturated: bool
    outputs_ttl: _duration_pb2.Duration
    def __init__(self, input: _Optional[_Union[_generation_input_pb2.GenerationInput, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., wait_for: _Optional[_Union[WaitFor, str]] = ..., wait_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., start_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., fail_when_saturated: bool = ..., outputs_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SubmitGenerationResponse(_message.Message):
    __slots__ = ("generation", "replayed", "warnings")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    generation: _generation_pb2.Generation
    replayed: bool
    warnings: _containers.RepeatedCompositeFieldContainer[_error_pb2.FieldViolation]
    def __init__(self, generation: _Optional[_Union[_generation_pb2.Generation, _Mapping]] = ..., replayed: bool = ..., warnings: _Optional[_Iterable[_Union[_error_pb2.FieldViolation, _Mapping]]] = ...) -> None: ...

class AdoptGenerationRequest(_message.Message):
    __slots__ = ("upstream_request_id", "api_version", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    UPSTREAM_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    upstream_request_id: str
    api_version: _generation_input_pb2.ApiVersion
    labels: _containers.ScalarMap[str, str]
    def __init__(self, upstream_request_id: _Optional[str] = ..., api_version: _Optional[_Union[_generation_input_pb2.ApiVersion, str]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class AdoptGenerationResponse(_message.Message):
    __slots__ = ("generation", "replayed")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    generation: _generation_pb2.Generation
    replayed: bool
    def __init__(self, generation: _Optional[_Union[_generation_pb2.Generation, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class GetGenerationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetGenerationResponse(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: _generation_pb2.Generation
    def __init__(self, generation: _Optional[_Union[_generation_pb2.Generation, _Mapping]] = ...) -> None: ...

class ListGenerationsRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token", "include_input")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_INPUT_FIELD_NUMBER: _ClassVar[int]
    filter: GenerationFilter
    page_size: int
    page_token: str
    include_input: bool
    def __init__(self, filter: _Optional[_Union[GenerationFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_input: bool = ...) -> None: ...

class GenerationFilter(_message.Message):
    __slots__ = ("ids", "states", "model_ids", "labels", "idempotency_key", "created_after", "created_before", "upstream_request_ids")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IDS_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    MODEL_IDS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_REQUEST_IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    states: _containers.RepeatedScalarFieldContainer[_generation_pb2.GenerationState]
    model_ids: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    idempotency_key: str
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    upstream_request_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., states: _Optional[_Iterable[_Union[_generation_pb2.GenerationState, str]]] = ..., model_ids: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., idempotency_key: _Optional[str] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., upstream_request_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListGenerationsResponse(_message.Message):
    __slots__ = ("generations", "next_page_token")
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    generations: _containers.RepeatedCompositeFieldContainer[_generation_pb2.Generation]
    next_page_token: str
    def __init__(self, generations: _Optional[_Iterable[_Union[_generation_pb2.Generation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelGenerationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelGenerationResponse(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: _generation_pb2.Generation
    def __init__(self, generation: _Optional[_Union[_generation_pb2.Generation, _Mapping]] = ...) -> None: ...

class WaitGenerationRequest(_message.Message):
    __slots__ = ("id", "timeout")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    id: str
    timeout: _duration_pb2.Duration
    def __init__(self, id: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WaitGenerationResponse(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: _generation_pb2.Generation
    def __init__(self, generation: _Optional[_Union[_generation_pb2.Generation, _Mapping]] = ...) -> None: ...

class WatchGenerationRequest(_message.Message):
    __slots__ = ("id", "after_revision", "include_input", "forecast_interval")
    ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_INPUT_FIELD_NUMBER: _ClassVar[int]
    FORECAST_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    id: str
    after_revision: int
    include_input: bool
    forecast_interval: _duration_pb2.Duration
    def __init__(self, id: _Optional[str] = ..., after_revision: _Optional[int] = ..., include_input: bool = ..., forecast_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchGenerationResponse(_message.Message):
    __slots__ = ("generation", "forecast")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    generation: _generation_pb2.Generation
    forecast: _generation_pb2.Forecast
    def __init__(self, generation: _Optional[_Union[_generation_pb2.Generation, _Mapping]] = ..., forecast: _Optional[_Union[_generation_pb2.Forecast, _Mapping]] = ...) -> None: ...

class WatchGenerationsRequest(_message.Message):
    __slots__ = ("filter", "resume_token", "include_input", "forecast_interval")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_INPUT_FIELD_NUMBER: _ClassVar[int]
    FORECAST_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    filter: GenerationFilter
    resume_token: str
    include_input: bool
    forecast_interval: _duration_pb2.Duration
    def __init__(self, filter: _Optional[_Union[GenerationFilter, _Mapping]] = ..., resume_token: _Optional[str] = ..., include_input: bool = ..., forecast_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchGenerationsResponse(_message.Message):
    __slots__ = ("generation", "resume_token", "caught_up", "reset", "missing_ids", "forecasts")
    class ForecastsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _generation_pb2.Forecast
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_generation_pb2.Forecast, _Mapping]] = ...) -> None: ...
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    FORECASTS_FIELD_NUMBER: _ClassVar[int]
    generation: _generation_pb2.Generation
    resume_token: str
    caught_up: bool
    reset: bool
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    forecasts: _containers.MessageMap[str, _generation_pb2.Forecast]
    def __init__(self, generation: _Optional[_Union[_generation_pb2.Generation, _Mapping]] = ..., resume_token: _Optional[str] = ..., caught_up: bool = ..., reset: bool = ..., missing_ids: _Optional[_Iterable[str]] = ..., forecasts: _Optional[_Mapping[str, _generation_pb2.Forecast]] = ...) -> None: ...

class EstimateGenerationRequest(_message.Message):
    __slots__ = ("input",)
    INPUT_FIELD_NUMBER: _ClassVar[int]
    input: _generation_input_pb2.GenerationInput
    def __init__(self, input: _Optional[_Union[_generation_input_pb2.GenerationInput, _Mapping]] = ...) -> None: ...

class EstimateGenerationResponse(_message.Message):
    __slots__ = ("cost", "description", "extra", "warnings")
    COST_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    cost: _generation_pb2.Cost
    description: str
    extra: _struct_pb2.Struct
    warnings: _containers.RepeatedCompositeFieldContainer[_error_pb2.FieldViolation]
    def __init__(self, cost: _Optional[_Union[_generation_pb2.Cost, _Mapping]] = ..., description: _Optional[str] = ..., extra: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[_error_pb2.FieldViolation, _Mapping]]] = ...) -> None: ...

class DeleteGenerationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DeleteGenerationResponse(_message.Message):
    __slots__ = ("removed_upstream",)
    REMOVED_UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    removed_upstream: bool
    def __init__(self, removed_upstream: bool = ...) -> None: ...

class ExplainGenerationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ExplainGenerationResponse(_message.Message):
    __slots__ = ("generation", "events")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    generation: _generation_pb2.Generation
    events: _containers.RepeatedCompositeFieldContainer[GenerationEvent]
    def __init__(self, generation: _Optional[_Union[_generation_pb2.Generation, _Mapping]] = ..., events: _Optional[_Iterable[_Union[GenerationEvent, _Mapping]]] = ...) -> None: ...

class GenerationEvent(_message.Message):
    __slots__ = ("time", "revision", "state", "source", "description", "upstream_call")
    TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_CALL_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    revision: int
    state: _generation_pb2.GenerationState
    source: _generation_pb2.ChangeSource
    description: str
    upstream_call: UpstreamCall
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., state: _Optional[_Union[_generation_pb2.GenerationState, str]] = ..., source: _Optional[_Union[_generation_pb2.ChangeSource, str]] = ..., description: _Optional[str] = ..., upstream_call: _Optional[_Union[UpstreamCall, _Mapping]] = ...) -> None: ...

class UpstreamCall(_message.Message):
    __slots__ = ("method", "path", "http_status", "correlation_id", "duration", "times")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    method: str
    path: str
    http_status: int
    correlation_id: str
    duration: _duration_pb2.Duration
    times: int
    def __init__(self, method: _Optional[str] = ..., path: _Optional[str] = ..., http_status: _Optional[int] = ..., correlation_id: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., times: _Optional[int] = ...) -> None: ...
