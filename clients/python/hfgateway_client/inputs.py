"""Constructors of inputs: each returns the `GenerationInput` that a client submits.

Arguments that are not passed are left out of the message, so that the default of the model applies. The constructors do
not validate: the gateway does, and its error names the wrong fields. Only an unknown name, such as a version, is a
ValueError.

An argument for the URL of media also accepts local media: a ``Path``, bytes, an open file or a Pillow image. In that
case the constructor returns a `LocalInput`, and the client uploads its media before it submits. A ``str`` is always a
URL, so that untrusted text can never name a local file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from hfgateway.v1 import generation_input_pb2 as pb
from hfgateway_client.uploads import LocalMedia, is_local

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper

SoulVersionName = Literal["v1", "v2", "cinema"]
"""A version of Soul. A character or a style works only with the version for which it was made."""
DopVariantName = Literal["lite", "standard", "turbo"]
"""A variant of DoP."""
SpeakQualityName = Literal["mid", "high"]
"""The quality of a Speak video."""
ApiVersionName = Literal["v1", "v2"]
"""The form of an endpoint: how its request is written, its response read, and its generation followed."""


Media = str | LocalMedia
"""A URL, or local media."""
UrlOf = Callable[[Any], Any]


class LocalInput:
    """An input with local media, which the client uploads before it submits the input.

    Media that are uploaded are not uploaded again if the input is submitted again. The URLs stay the same, so the input
    can be retried with its idempotency key.
    """

    def __init__(self, media: list[LocalMedia], build: Callable[[UrlOf], pb.GenerationInput]) -> None:
        self.media = media
        """The local media, in the order of their upload."""
        self.urls: dict[int, str] = {}
        """The URLs of the media that are uploaded, by their places in ``media``."""
        self._build = build
        self._starts = {
            place: cast(IO[bytes], source).tell() for place, source in enumerate(media) if _seekable(source)
        }

    def source(self, place: int) -> LocalMedia:
        """Return a medium for its upload: an open file at the position that it had when the input was made."""
        source = self.media[place]
        if place in self._starts:
            cast(IO[bytes], source).seek(self._starts[place])
        return source

    def message(self) -> pb.GenerationInput:
        """Return the input as a message. Call it only after all media are uploaded; see ``upload_media``."""
        urls = iter(self.urls.values())
        return self._build(lambda value: next(urls) if is_local(value) else value)


def _seekable(source: object) -> bool:
    return hasattr(source, "seekable") and bool(source.seekable())


AnyInput = pb.GenerationInput | LocalInput
"""An input that a client can submit."""


def _input(kind: str, fields: Mapping[str, Any]) -> AnyInput:
    """Return the message with an input of this kind, or a `LocalInput` if a field has local media."""

    def build(url_of: UrlOf) -> pb.GenerationInput:
        return pb.GenerationInput(**{kind: _with_urls(fields, url_of)})

    media: list[LocalMedia] = []

    def collect(value: Any) -> Any:
        if not is_local(value):
            return value
        media.append(value)
        return ""

    message = build(collect)
    return LocalInput(media, build) if media else message


def soul(
    prompt: str,
    *,
    version: SoulVersionName | None = None,
    aspect_ratio: str = "",
    width: int = 0,
    height: int = 0,
    resolution: str = "",
    batch_size: int = 0,
    style_id: str = "",
    style_strength: float | None = None,
    character_id: str = "",
    character_strength: float | None = None,
    image_reference_url: Media = "",
    enhance_prompt: bool | None = None,
    seed: int | None = None,
) -> AnyInput:
    """Create an input for text to image with Soul.

    Args:
        prompt: What the image shows.
        version: The version of Soul: "v1", "v2" or "cinema". Default: "v1".
        aspect_ratio: "9:16", "16:9", "4:3", "3:4", "1:1", "2:3" or "3:2". Default: the model's own. Not allowed with
            width and height.
        width: The width in pixels. Width and height must be one of the sizes of Higgsfield's v1 API, such as 2048 and
            1536. Only for version "v1". Default: decided by ``aspect_ratio``.
        height: The height in pixels; see ``width``.
        resolution: "720p" or "1080p". Default: "720p".
        batch_size: The number of images: 1 or 4. Default: 1.
        style_id: The id of a style; see ``list_soul_styles``. Default: the model's own.
        style_strength: The strength of the style, from 0 to 1. Requires ``style_id``. Default: the model's own.
        character_id: The id of a trained character of the same version. Default: none.
        character_strength: The strength of the character, from 0 to 1. Requires ``character_id``. Default: the model's
            own.
        image_reference_url: The URL of a reference image, or local media. Only for version "v1". Default: none.
        enhance_prompt: Whether Higgsfield may rewrite the prompt. Default: the model's own.
        seed: The seed, from 1 to 1,000,000. Default: none.
    """
    return _input("soul", {**locals(), "version": enum_value(pb.SoulVersion, version)})


def dop(
    prompt: str,
    image_urls: Media | Iterable[Media],
    *,
    variant: DopVariantName | None = None,
    end_image_url: Media = "",
    motions: Mapping[str, float | None] | None = None,
    enhance_prompt: bool | None = None,
    seed: int | None = None,
) -> AnyInput:
    """Create an input for image to video with DoP, the Director of Photography model.

    Args:
        prompt: What moves, and how the camera moves.
        image_urls: The image to start from, as a URL or local media, or several of them.
        variant: The variant of DoP: "lite", "standard" or "turbo". Default: "turbo".
        end_image_url: The last frame, as a URL or local media. Default: none.
        motions: Up to 2 motion presets: the strength from 0 to 1 by motion id, or None for the default strength, 1. See
            ``list_motions``. Default: none.
        enhance_prompt: Whether Higgsfield may rewrite the prompt. Default: the model's own.
        seed: The seed, from 1 to 1,000,000. Default: none.
    """
    # A str is iterable as well, but means one URL.
    single = isinstance(image_urls, str) or is_local(image_urls)
    fields = {
        "prompt": prompt,
        "image_urls": [image_urls] if single else list(cast(Iterable[Media], image_urls)),
        "variant": enum_value(pb.DopVariant, variant),
        "end_image_url": end_image_url,
        "motions": [{"motion_id": id, "strength": strength} for id, strength in (motions or {}).items()],
        "enhance_prompt": enhance_prompt,
        "seed": seed,
    }
    return _input("dop", fields)


def speak(
    image_url: Media,
    audio_url: Media,
    prompt: str,
    *,
    quality: SpeakQualityName | None = None,
    duration_seconds: int = 0,
    enhance_prompt: bool | None = None,
    seed: int | None = None,
) -> AnyInput:
    """Create an input for speech to video with Speak.

    Args:
        image_url: The portrait, as a URL or local media.
        audio_url: The speech, a WAV file, as a URL or local media.
        prompt: How the person looks and acts.
        quality: The quality of the video: "mid" or "high". Default: "mid".
        duration_seconds: The duration of the video in seconds: 5, 10 or 15. Default: 5.
        enhance_prompt: Whether Higgsfield may rewrite the prompt. Default: the model's own.
        seed: The seed, from 1 to 1,000,000. Default: none.
    """
    return _input("speak", {**locals(), "quality": enum_value(pb.SpeakQuality, quality)})


@overload
def model(model_id: str, api_version: ApiVersionName | None = None, /, **parameters: Any) -> AnyInput: ...
@overload
def model(model_id: str, parameters: Mapping[str, Any], api_version: ApiVersionName | None = None, /) -> AnyInput: ...
def model(
    model_id: str,
    given: Mapping[str, Any] | ApiVersionName | None = None,
    api_version: ApiVersionName | None = None,
    /,
    **parameters: Any,
) -> AnyInput:
    """Create an input for any Higgsfield model or endpoint.

    The parameters are keyword arguments, or one mapping.

    Args:
        model_id: The id of the model, such as "kling-video/v3.0/pro/image-to-video" (see ``list_models``), or the path
            of an endpoint, such as "v1/text2image/keyframes".
        api_version: The form of the endpoint: "v1" or "v2". Required for paths that begin with "v1/". Default: "v2".
        given: The parameters as a mapping. With keyword arguments, the API version.
        **parameters: The parameters, sent unchanged. Local media may be used in place of a URL at any depth, including
            in lists and mappings.

    Raises:
        ValueError: The API version is unknown, or a parameter cannot be represented in JSON.
    """
    if isinstance(given, Mapping):
        parameters = {**given, **parameters}
    else:
        api_version = given
    version = enum_value(pb.ApiVersion, api_version)
    return _input("model", {"model_id": model_id, "parameters": parameters, "api_version": version})


def _with_urls(value: Any, url_of: UrlOf) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_urls(item, url_of) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_urls(item, url_of) for item in value]
    return url_of(value)


_Value = TypeVar("_Value", bound=int)


def enum_value(enum: _EnumTypeWrapper[_Value], name: str | None) -> _Value:
    """Return the number of a value by its short name, such as "v1", or that of UNSPECIFIED for None.

    Raises:
        ValueError: The enum has no such value.
    """
    unspecified = enum.DESCRIPTOR.values_by_number[0].name
    return enum.Value(unspecified if name is None else unspecified.removesuffix("UNSPECIFIED") + name.upper())
