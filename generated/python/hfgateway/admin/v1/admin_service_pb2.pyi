import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from hfgateway.v1 import generation_pb2 as _generation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResolveGenerationRequest(_message.Message):
    __slots__ = ("id", "request_id", "lost", "resubmit")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    RESUBMIT_FIELD_NUMBER: _ClassVar[int]
    id: str
    request_id: str
    lost: Lost
    resubmit: Resubmit
    def __init__(self, id: _Optional[str] = ..., request_id: _Optional[str] = ..., lost: _Optional[_Union[Lost, _Mapping]] = ..., resubmit: _Optional[_Union[Resubmit, _Mapping]] = ...) -> None: ...

class Lost(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Resubmit(_message.Message):
    __slots__ = ("may_charge_twice",)
    MAY_CHARGE_TWICE_FIELD_NUMBER: _ClassVar[int]
    may_charge_twice: bool
    def __init__(self, may_charge_twice: bool = ...) -> None: ...

class ResolveGenerationResponse(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: _generation_pb2.Generation
    def __init__(self, generation: _Optional[_Union[_generation_pb2.Generation, _Mapping]] = ...) -> None: ...

class ListUnresolvedRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListUnresolvedResponse(_message.Message):
    __slots__ = ("characters", "messages")
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    characters: _containers.RepeatedCompositeFieldContainer[UnresolvedCharacter]
    messages: _containers.RepeatedCompositeFieldContainer[UnresolvedMessage]
    def __init__(self, characters: _Optional[_Iterable[_Union[UnresolvedCharacter, _Mapping]]] = ..., messages: _Optional[_Iterable[_Union[UnresolvedMessage, _Mapping]]] = ...) -> None: ...

class UnresolvedCharacter(_message.Message):
    __slots__ = ("tenant", "idempotency_key", "name", "send_time")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEND_TIME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    idempotency_key: str
    name: str
    send_time: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., name: _Optional[str] = ..., send_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UnresolvedMessage(_message.Message):
    __slots__ = ("tenant", "idempotency_key", "session_id", "send_time")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SEND_TIME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    idempotency_key: str
    session_id: str
    send_time: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., session_id: _Optional[str] = ..., send_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ResolveCharacterRequest(_message.Message):
    __slots__ = ("tenant", "idempotency_key", "character_id", "not_taken")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    NOT_TAKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    idempotency_key: str
    character_id: str
    not_taken: NotTaken
    def __init__(self, tenant: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., character_id: _Optional[str] = ..., not_taken: _Optional[_Union[NotTaken, _Mapping]] = ...) -> None: ...

class ResolveCharacterResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResolveMessageRequest(_message.Message):
    __slots__ = ("tenant", "idempotency_key", "message_id", "not_taken")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    NOT_TAKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    idempotency_key: str
    message_id: str
    not_taken: NotTaken
    def __init__(self, tenant: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., message_id: _Optional[str] = ..., not_taken: _Optional[_Union[NotTaken, _Mapping]] = ...) -> None: ...

class ResolveMessageResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NotTaken(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ApiKey(_message.Message):
    __slots__ = ("id", "tenant", "name", "create_time", "revoke_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REVOKE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    name: str
    create_time: _timestamp_pb2.Timestamp
    revoke_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., name: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revoke_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateApiKeyRequest(_message.Message):
    __slots__ = ("tenant", "name")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class CreateApiKeyResponse(_message.Message):
    __slots__ = ("api_key", "secret")
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    api_key: ApiKey
    secret: str
    def __init__(self, api_key: _Optional[_Union[ApiKey, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class ListApiKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListApiKeysResponse(_message.Message):
    __slots__ = ("api_keys",)
    API_KEYS_FIELD_NUMBER: _ClassVar[int]
    api_keys: _containers.RepeatedCompositeFieldContainer[ApiKey]
    def __init__(self, api_keys: _Optional[_Iterable[_Union[ApiKey, _Mapping]]] = ...) -> None: ...

class RevokeApiKeyRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RevokeApiKeyResponse(_message.Message):
    __slots__ = ("api_key",)
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    api_key: ApiKey
    def __init__(self, api_key: _Optional[_Union[ApiKey, _Mapping]] = ...) -> None: ...
