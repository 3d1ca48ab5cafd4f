import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from hfgateway.v1 import generation_pb2 as _generation_pb2
from hfgateway.v1 import generation_input_pb2 as _generation_input_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_ORIGIN_UNSPECIFIED: _ClassVar[ModelOrigin]
    MODEL_ORIGIN_LIVE: _ClassVar[ModelOrigin]
    MODEL_ORIGIN_BUILT_IN: _ClassVar[ModelOrigin]
    MODEL_ORIGIN_COMMUNITY: _ClassVar[ModelOrigin]

class ModelLifecycle(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_LIFECYCLE_UNSPECIFIED: _ClassVar[ModelLifecycle]
    MODEL_LIFECYCLE_ACTIVE: _ClassVar[ModelLifecycle]
    MODEL_LIFECYCLE_DEPRECATED: _ClassVar[ModelLifecycle]
    MODEL_LIFECYCLE_GONE: _ClassVar[ModelLifecycle]

class ModelChange(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_CHANGE_UNSPECIFIED: _ClassVar[ModelChange]
    MODEL_CHANGE_NEW: _ClassVar[ModelChange]
    MODEL_CHANGE_CHANGED: _ClassVar[ModelChange]
    MODEL_CHANGE_GONE: _ClassVar[ModelChange]
MODEL_ORIGIN_UNSPECIFIED: ModelOrigin
MODEL_ORIGIN_LIVE: ModelOrigin
MODEL_ORIGIN_BUILT_IN: ModelOrigin
MODEL_ORIGIN_COMMUNITY: ModelOrigin
MODEL_LIFECYCLE_UNSPECIFIED: ModelLifecycle
MODEL_LIFECYCLE_ACTIVE: ModelLifecycle
MODEL_LIFECYCLE_DEPRECATED: ModelLifecycle
MODEL_LIFECYCLE_GONE: ModelLifecycle
MODEL_CHANGE_UNSPECIFIED: ModelChange
MODEL_CHANGE_NEW: ModelChange
MODEL_CHANGE_CHANGED: ModelChange
MODEL_CHANGE_GONE: ModelChange

class Model(_message.Message):
    __slots__ = ("id", "output_kind", "tasks", "parameters_schema", "provenance", "lifecycle", "end_time", "note")
    ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_KIND_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    LIFECYCLE_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    id: str
    output_kind: _generation_pb2.MediaKind
    tasks: _containers.RepeatedScalarFieldContainer[str]
    parameters_schema: _struct_pb2.Struct
    provenance: ModelProvenance
    lifecycle: ModelLifecycle
    end_time: _timestamp_pb2.Timestamp
    note: str
    def __init__(self, id: _Optional[str] = ..., output_kind: _Optional[_Union[_generation_pb2.MediaKind, str]] = ..., tasks: _Optional[_Iterable[str]] = ..., parameters_schema: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., provenance: _Optional[_Union[ModelProvenance, _Mapping]] = ..., lifecycle: _Optional[_Union[ModelLifecycle, str]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ...) -> None: ...

class ModelProvenance(_message.Message):
    __slots__ = ("origin", "source", "source_date", "last_seen_time")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_DATE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    origin: ModelOrigin
    source: str
    source_date: str
    last_seen_time: _timestamp_pb2.Timestamp
    def __init__(self, origin: _Optional[_Union[ModelOrigin, str]] = ..., source: _Optional[str] = ..., source_date: _Optional[str] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Motion(_message.Message):
    __slots__ = ("id", "name", "description", "preview_url", "start_end_frame")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_URL_FIELD_NUMBER: _ClassVar[int]
    START_END_FRAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    description: str
    preview_url: str
    start_end_frame: bool
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., preview_url: _Optional[str] = ..., start_end_frame: bool = ...) -> None: ...

class SoulStyle(_message.Message):
    __slots__ = ("id", "name", "description", "preview_url")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_URL_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    description: str
    preview_url: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., description: _Optional[str] = ..., preview_url: _Optional[str] = ...) -> None: ...

class Preset(_message.Message):
    __slots__ = ("id", "name", "preview_url")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_URL_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    preview_url: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., preview_url: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "query", "output_kind", "include_schema", "include_gone")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_KIND_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_GONE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    query: str
    output_kind: _generation_pb2.MediaKind
    include_schema: bool
    include_gone: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., query: _Optional[str] = ..., output_kind: _Optional[_Union[_generation_pb2.MediaKind, str]] = ..., include_schema: bool = ..., include_gone: bool = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token", "fetch_time")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FETCH_TIME_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    fetch_time: _timestamp_pb2.Timestamp
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., fetch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WatchModelsRequest(_message.Message):
    __slots__ = ("after_revision",)
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    after_revision: int
    def __init__(self, after_revision: _Optional[int] = ...) -> None: ...

class WatchModelsResponse(_message.Message):
    __slots__ = ("model", "change", "details", "time", "revision")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    model: Model
    change: ModelChange
    details: _containers.RepeatedScalarFieldContainer[str]
    time: _timestamp_pb2.Timestamp
    revision: int
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., change: _Optional[_Union[ModelChange, str]] = ..., details: _Optional[_Iterable[str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model", "fetch_time")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FETCH_TIME_FIELD_NUMBER: _ClassVar[int]
    model: Model
    fetch_time: _timestamp_pb2.Timestamp
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., fetch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListMotionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "query")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    query: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., query: _Optional[str] = ...) -> None: ...

class ListMotionsResponse(_message.Message):
    __slots__ = ("motions", "next_page_token", "fetch_time")
    MOTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FETCH_TIME_FIELD_NUMBER: _ClassVar[int]
    motions: _containers.RepeatedCompositeFieldContainer[Motion]
    next_page_token: str
    fetch_time: _timestamp_pb2.Timestamp
    def __init__(self, motions: _Optional[_Iterable[_Union[Motion, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., fetch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListSoulStylesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "query", "version")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    query: str
    version: _generation_input_pb2.SoulVersion
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., query: _Optional[str] = ..., version: _Optional[_Union[_generation_input_pb2.SoulVersion, str]] = ...) -> None: ...

class ListSoulStylesResponse(_message.Message):
    __slots__ = ("soul_styles", "next_page_token", "fetch_time")
    SOUL_STYLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FETCH_TIME_FIELD_NUMBER: _ClassVar[int]
    soul_styles: _containers.RepeatedCompositeFieldContainer[SoulStyle]
    next_page_token: str
    fetch_time: _timestamp_pb2.Timestamp
    def __init__(self, soul_styles: _Optional[_Iterable[_Union[SoulStyle, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., fetch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPresetsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "query", "model_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    query: str
    model_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., query: _Optional[str] = ..., model_id: _Optional[str] = ...) -> None: ...

class ListPresetsResponse(_message.Message):
    __slots__ = ("presets", "next_page_token", "fetch_time")
    PRESETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FETCH_TIME_FIELD_NUMBER: _ClassVar[int]
    presets: _containers.RepeatedCompositeFieldContainer[Preset]
    next_page_token: str
    fetch_time: _timestamp_pb2.Timestamp
    def __init__(self, presets: _Optional[_Iterable[_Union[Preset, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., fetch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
