from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApiVersion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    API_VERSION_UNSPECIFIED: _ClassVar[ApiVersion]
    API_VERSION_V1: _ClassVar[ApiVersion]
    API_VERSION_V2: _ClassVar[ApiVersion]

class SoulVersion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SOUL_VERSION_UNSPECIFIED: _ClassVar[SoulVersion]
    SOUL_VERSION_V1: _ClassVar[SoulVersion]
    SOUL_VERSION_V2: _ClassVar[SoulVersion]
    SOUL_VERSION_CINEMA: _ClassVar[SoulVersion]

class DopVariant(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DOP_VARIANT_UNSPECIFIED: _ClassVar[DopVariant]
    DOP_VARIANT_LITE: _ClassVar[DopVariant]
    DOP_VARIANT_STANDARD: _ClassVar[DopVariant]
    DOP_VARIANT_TURBO: _ClassVar[DopVariant]

class SpeakQuality(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPEAK_QUALITY_UNSPECIFIED: _ClassVar[SpeakQuality]
    SPEAK_QUALITY_MID: _ClassVar[SpeakQuality]
    SPEAK_QUALITY_HIGH: _ClassVar[SpeakQuality]
API_VERSION_UNSPECIFIED: ApiVersion
API_VERSION_V1: ApiVersion
API_VERSION_V2: ApiVersion
SOUL_VERSION_UNSPECIFIED: SoulVersion
SOUL_VERSION_V1: SoulVersion
SOUL_VERSION_V2: SoulVersion
SOUL_VERSION_CINEMA: SoulVersion
DOP_VARIANT_UNSPECIFIED: DopVariant
DOP_VARIANT_LITE: DopVariant
DOP_VARIANT_STANDARD: DopVariant
DOP_VARIANT_TURBO: DopVariant
SPEAK_QUALITY_UNSPECIFIED: SpeakQuality
SPEAK_QUALITY_MID: SpeakQuality
SPEAK_QUALITY_HIGH: SpeakQuality

class GenerationInput(_message.Message):
    __slots__ = ("soul", "dop", "speak", "model")
    SOUL_FIELD_NUMBER: _ClassVar[int]
    DOP_FIELD_NUMBER: _ClassVar[int]
    SPEAK_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    soul: SoulInput
    dop: DopInput
    speak: SpeakInput
    model: ModelInput
    def __init__(self, soul: _Optional[_Union[SoulInput, _Mapping]] = ..., dop: _Optional[_Union[DopInput, _Mapping]] = ..., speak: _Optional[_Union[SpeakInput, _Mapping]] = ..., model: _Optional[_Union[ModelInput, _Mapping]] = ...) -> None: ...

class ModelInput(_message.Message):
    __slots__ = ("model_id", "parameters", "api_version")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    parameters: _struct_pb2.Struct
    api_version: ApiVersion
    def __init__(self, model_id: _Optional[str] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., api_version: _Optional[_Union[ApiVersion, str]] = ...) -> None: ...

class SoulInput(_message.Message):
    __slots__ = ("prompt", "version", "aspect_ratio", "width", "height", "resolution", "batch_size", "style_id", "style_strength", "character_id", "character_strength", "image_reference_url", "enhance_prompt", "seed")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ASPECT_RATIO_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    STYLE_ID_FIELD_NUMBER: _ClassVar[int]
    STYLE_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_ID_FIELD_NUMBER: _ClassVar[int]
    CHARACTER_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    IMAGE_REFERENCE_URL_FIELD_NUMBER: _ClassVar[int]
    ENHANCE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    version: SoulVersion
    aspect_ratio: str
    width: int
    height: int
    resolution: str
    batch_size: int
    style_id: str
    style_strength: float
    character_id: str
    character_strength: float
    image_reference_url: str
    enhance_prompt: bool
    seed: int
    def __init__(self, prompt: _Optional[str] = ..., version: _Optional[_Union[SoulVersion, str]] = ..., aspect_ratio: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., resolution: _Optional[str] = ..., batch_size: _Optional[int] = ..., style_id: _Optional[str] = ..., style_strength: _Optional[float] = ..., character_id: _Optional[str] = ..., character_strength: _Optional[float] = ..., image_reference_url: _Optional[str] = ..., enhance_prompt: bool = ..., seed: _Optional[int] = ...) -> None: ...

class DopInput(_message.Message):
    __slots__ = ("variant", "prompt", "image_urls", "end_image_url", "motions", "enhance_prompt", "seed")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URLS_FIELD_NUMBER: _ClassVar[int]
    END_IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    MOTIONS_FIELD_NUMBER: _ClassVar[int]
    ENHANCE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    variant: DopVariant
    prompt: str
    image_urls: _containers.RepeatedScalarFieldContainer[str]
    end_image_url: str
    motions: _containers.RepeatedCompositeFieldContainer[MotionStrength]
    enhance_prompt: bool
    seed: int
    def __init__(self, variant: _Optional[_Union[DopVariant, str]] = ..., prompt: _Optional[str] = ..., image_urls: _Optional[_Iterable[str]] = ..., end_image_url: _Optional[str] = ..., motions: _Optional[_Iterable[_Union[MotionStrength, _Mapping]]] = ..., enhance_prompt: bool = ..., seed: _Optional[int] = ...) -> None: ...

class MotionStrength(_message.Message):
    __slots__ = ("motion_id", "strength")
    MOTION_ID_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    motion_id: str
    strength: float
    def __init__(self, motion_id: _Optional[str] = ..., strength: _Optional[float] = ...) -> None: ...

class SpeakInput(_message.Message):
    __slots__ = ("image_url", "audio_url", "prompt", "quality", "duration_seconds", "enhance_prompt", "seed")
    IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    AUDIO_URL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENHANCE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    image_url: str
    audio_url: str
    prompt: str
    quality: SpeakQuality
    duration_seconds: int
    enhance_prompt: bool
    seed: int
    def __init__(self, image_url: _Optional[str] = ..., audio_url: _Optional[str] = ..., prompt: _Optional[str] = ..., quality: _Optional[_Union[SpeakQuality, str]] = ..., duration_seconds: _Optional[int] = ..., enhance_prompt: bool = ..., seed: _Optional[int] = ...) -> None: ...
