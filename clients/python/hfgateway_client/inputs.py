"""What to generate, as functions with named arguments: each returns the `GenerationInput` that the client submits.

An argument that is left out is left out of the message, so that the model's own default holds. Nothing is checked
here: the gateway checks every field, and its answer names those that it refuses.

Where a URL of media is wanted, media that is here may be given too: a ``Path``, bytes, an open file, or an image of
Pillow. Then a `LocalInput` is returned, whose media the client uploads before it submits. Text is always a URL: what a
stranger wrote never names a file of yours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, cast

from google.protobuf.struct_pb2 import Struct

from hfgateway.v1 import generation_input_pb2 as pb
from hfgateway_client.uploads import LocalMedia, is_local

SoulVersionName = Literal["v1", "v2", "cinema"]
DopVariantName = Literal["lite", "standard", "turbo"]
SpeakQualityName = Literal["mid", "high"]


Media = str | LocalMedia
"""A URL, or media that is here."""
UrlOf = Callable[[Any], Any]


class LocalInput:
    """An input whose `media` are still here. `urls` are those of the first of them, as far as they are uploaded.

    It may be submitted again: what was uploaded is not uploaded anew, so the input stays the same under its key.
    """

    def __init__(self, media: list[LocalMedia], build: Callable[[UrlOf], pb.GenerationInput]) -> None:
        self.media = media
        self.urls: list[str] = []
        self._build = build

    def message(self) -> pb.GenerationInput:
        """The input, once all of its media are uploaded."""
        urls = iter(self.urls)
        return self._build(lambda one: next(urls) if is_local(one) else one)


AnyInput = pb.GenerationInput | LocalInput


def _input(build: Callable[[UrlOf], pb.GenerationInput]) -> AnyInput:
    """The message, where it can be built at once. `build` asks for the URL of each of its media, in the same order."""
    media: list[LocalMedia] = []

    def note(one: Any) -> Any:
        if not is_local(one):
            return one
        media.append(one)
        return ""

    message = build(note)
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
    """Text to image with Soul."""
    return _input(
        lambda url_of: pb.GenerationInput(
            soul=pb.SoulInput(
                prompt=prompt,
                version=enum_name("SOUL_VERSION", version),
                aspect_ratio=aspect_ratio,
                width=width,
                height=height,
                resolution=resolution,
                batch_size=batch_size,
                style_id=style_id,
                style_strength=style_strength,
                character_id=character_id,
                character_strength=character_strength,
                image_reference_url=url_of(image_reference_url),
                enhance_prompt=enhance_prompt,  # type: ignore[arg-type]  # None is absent; the stub lacks it
                seed=seed,
            )
        )
    )


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
    """Image to video with the Director of Photography model; ``motions`` gives a strength (or None) by motion id."""
    # One image is what most callers have; the letters of its URL are what nobody means.
    one = isinstance(image_urls, str) or is_local(image_urls)
    images = [image_urls] if one else list(cast(Iterable[Media], image_urls))
    return _input(
        lambda url_of: pb.GenerationInput(
            dop=pb.DopInput(
                variant=enum_name("DOP_VARIANT", variant),
                prompt=prompt,
                image_urls=[url_of(image) for image in images],
                end_image_url=url_of(end_image_url),
                motions=[
                    pb.MotionStrength(motion_id=id, strength=strength) for id, strength in (motions or {}).items()
                ],
                enhance_prompt=enhance_prompt,  # type: ignore[arg-type]  # None is absent; the stub lacks it
                seed=seed,
            )
        )
    )


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
    """Speech (a WAV file) to video with Speak."""
    return _input(
        lambda url_of: pb.GenerationInput(
            speak=pb.SpeakInput(
                image_url=url_of(image_url),
                audio_url=url_of(audio_url),
                prompt=prompt,
                quality=enum_name("SPEAK_QUALITY", quality),
                duration_seconds=duration_seconds,
                enhance_prompt=enhance_prompt,  # type: ignore[arg-type]  # None is absent; the stub lacks it
                seed=seed,
            )
        )
    )


def model(model_id: str, /, **parameters: Any) -> AnyInput:
    """Any Higgsfield model by its id; the parameters are sent as its JSON body, just as they stand.

    Media that is here may stand for a URL anywhere in them, in lists too.
    """

    def build(url_of: UrlOf) -> pb.GenerationInput:
        body = Struct()
        body.update({name: _with_urls(value, url_of) for name, value in parameters.items()})
        return pb.GenerationInput(model=pb.ModelInput(model_id=model_id, parameters=body))

    return _input(build)


def _with_urls(value: Any, url_of: UrlOf) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_urls(one, url_of) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_urls(one, url_of) for one in value]
    return url_of(value)


def enum_name(prefix: str, name: str | None) -> str:
    """The name of a value as the protos have it."""
    return f"{prefix}_{name or 'unspecified'}".upper()
