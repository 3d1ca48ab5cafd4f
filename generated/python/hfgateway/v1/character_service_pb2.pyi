import datetime

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

class CharacterState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHARACTER_STATE_UNSPECIFIED: _ClassVar[CharacterState]
    CHARACTER_STATE_NOT_READY: _ClassVar[CharacterState]
    CHARACTER_STATE_QUEUED: _ClassVar[CharacterState]
    CHARACTER_STATE_IN_PROGRESS: _ClassVar[CharacterState]
    CHARACTER_STATE_COMPLETED: _ClassVar[CharacterState]
    CHARACTER_STATE_FAILED: _ClassVar[CharacterState]
CHARACTER_STATE_UNSPECIFIED: CharacterState
CHARACTER_STATE_NOT_READY: CharacterState
CHARACTER_STATE_QUEUED: CharacterState
CHARACTER_STATE_IN_PROGRESS: CharacterState
CHARACTER_STATE_COMPLETED: CharacterState
CHARACTER_STATE_FAILED: CharacterState

class SoulCharacter(_message.Message):
    __slots__ = ("id", "name", "state", "done", "version", "thumbnail_url", "failure", "create_time", "extra")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    THUMBNAIL_URL_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    state: CharacterState
    done: bool
    version: _generation_input_pb2.SoulVersion
    thumbnail_url: str
    failure: _error_pb2.Failure
    create_time: _timestamp_pb2.Timestamp
    extra: _struct_pb2.Struct
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[CharacterState, str]] = ..., done: bool = ..., version: _Optional[_Union[_generation_input_pb2.SoulVersion, str]] = ..., thumbnail_url: _Optional[str] = ..., failure: _Optional[_Union[_error_pb2.Failure, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., extra: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class CreateCharacterRequest(_message.Message):
    __slots__ = ("name", "image_urls", "version", "idempotency_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URLS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    image_urls: _containers.RepeatedScalarFieldContainer[str]
    version: _generation_input_pb2.SoulVersion
    idempotency_key: str
    def __init__(self, name: _Optional[str] = ..., image_urls: _Optional[_Iterable[str]] = ..., version: _Optional[_Union[_generation_input_pb2.SoulVersion, str]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateCharacterResponse(_message.Message):
    __slots__ = ("character", "replayed")
    CHARACTER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    character: SoulCharacter
    replayed: bool
    def __init__(self, character: _Optional[_Union[SoulCharacter, _Mapping]] = ..., replayed: bool = ...) -> None: ...

class GetCharacterRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetCharacterResponse(_message.Message):
    __slots__ = ("character",)
    CHARACTER_FIELD_NUMBER: _ClassVar[int]
    character: SoulCharacter
    def __init__(self, character: _Optional[_Union[SoulCharacter, _Mapping]] = ...) -> None: ...

class ListCharactersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCharactersResponse(_message.Message):
    __slots__ = ("characters", "next_page_token", "total_size")
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    characters: _containers.RepeatedCompositeFieldContainer[SoulCharacter]
    next_page_token: str
    total_size: int
    def __init__(self, characters: _Optional[_Iterable[_Union[SoulCharacter, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class DeleteCharacterRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DeleteCharacterResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchCharacterRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchCharacterResponse(_message.Message):
    __slots__ = ("character",)
    CHARACTER_FIELD_NUMBER: _ClassVar[int]
    character: SoulCharacter
    def __init__(self, character: _Optional[_Union[SoulCharacter, _Mapping]] = ...) -> None: ...
