"""The models of the sandbox, as data: a few of each family, so that each behaviour of the API has a model."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gateway.sandbox.catalog.model import Model
from gateway.sandbox.schema import Schema

_SOUL_RATIOS = ("9:16", "16:9", "4:3", "3:4", "1:1", "2:3", "3:2")
_VIDEO_RATIOS = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9")
_STUDIO_RATIOS = ("auto", "1:1", "3:2", "2:3", "4:3", "3:4", "16:9", "9:16", "21:9")
_QWEN_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "7:9", "9:7", "9:16", "16:9", "21:9")


def _text(**limits: Any) -> Schema:
    return {"type": "string", **limits}


def _choice(*options: str | int, default: str | int | None = None) -> Schema:
    kind = "string" if isinstance(options[0], str) else "integer"
    return {"type": kind, "enum": list(options)} | ({} if default is None else {"default": default})


def _integer(minimum: int, maximum: int, **more: Any) -> Schema:
    return {"type": "integer", "minimum": minimum, "maximum": maximum, **more}


def _fraction(default: float) -> Schema:
    return {"type": "number", "minimum": 0, "maximum": 1, "default": default}


def _flag(default: bool) -> Schema:
    return {"type": "boolean", "default": default}


def _url() -> Schema:
    return {"type": "string", "format": "uri", "maxLength": 2083}


def _urls(minimum: int, maximum: int) -> Schema:
    return {"type": "array", "items": _url(), "minItems": minimum, "maxItems": maximum}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _closed(*required: str, **properties: Schema) -> Schema:
    return _open(*required, **properties) | {"additionalProperties": False}


def _open(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _uuid(**more: Any) -> Schema:
    return {"type": "string", "format": "uuid", **more}


def _soul(ratio: str, **more: Schema) -> Schema:
    return _open(
        "prompt",
        prompt=_text(),
        aspect_ratio=_choice(*_SOUL_RATIOS, default=ratio),
        resolution=_choice("720p", "1080p", default="720p"),
        batch_size=_choice(1, 4, default=1),
        enhance_prompt=_flag(False),
        custom_reference_id=_nullable(_uuid()),
        custom_reference_strength=_fraction(1),
        **more,
    )


_DOP = _open(
    "prompt",
    "image_url",
    prompt=_text(),
    image_url=_url(),
    end_image_url=_url(),
    seed=_nullable(_integer(1, 1_000_000)),
    enhance_prompt=_flag(True),
    motions=_nullable(
        {
            "type": "array",
            "maxItems": 2,
            "items": _open("id", "strength", id=_uuid(), strength=_fraction(1)),
        }
    ),
)

_SEEDANCE: dict[str, Schema] = {
    "prompt": _text(minLength=1),
    "duration": _integer(4, 15, default=5),
    "resolution": _choice("480p", "720p", "1080p", "4k", default="720p"),
    "generate_audio": _flag(True),
}
_SEEDANCE_25: dict[str, Schema] = {
    "prompt": _text(minLength=1),
    "duration": _integer(4, 30, default=5),
    "resolution": _choice("480p", "720p", "1080p", default="720p"),
    "bitrate_mode": _choice("standard", "high", default="high"),
    "output_format": _choice("mp4", "mov", default="mp4"),
    "generate_audio": _flag(True),
}
_SEEDANCE_25_PRICE = (
    "16:9 video without video input costs about $0.2056 per second at 480p, $0.4622 at 720p and $1.1372 at 1080p"
)
_SEEDANCE_FROM_REFERENCES = _closed(
    **_SEEDANCE,
    aspect_ratio=_choice(*_VIDEO_RATIOS, default="16:9"),
    image_urls=_urls(1, 9),
    video_urls=_urls(1, 3),
    audio_urls=_urls(1, 3),
) | {"anyOf": [{"required": ["image_urls"]}, {"required": ["video_urls"]}]}

_KLING: dict[str, Schema] = {
    "prompt": _text(),
    "duration": _choice(5, 10, default=5),
    "cfg_scale": _fraction(0.5),
    "negative_prompt": _text(default=""),
}

_STUDIO = _closed(
    "prompt",
    prompt=_text(minLength=1, maxLength=5000),
    quality=_choice("low", "medium", "high", default="high"),
    preset_id=_uuid(),
    image_urls=_urls(0, 16),
    moderation=_choice("auto", "low", default="auto"),
    resolution=_choice("1k", "2k", "4k", default="2k"),
    aspect_ratio=_choice(*_STUDIO_RATIOS, default="auto"),
    enhance_prompt=_flag(False),
)

_RESTYLE = _closed(
    "video_url",
    "preset_id",
    video_url=_text(minLength=1, maxLength=2083),
    preset_id=_uuid(),
    image_urls=_urls(0, 5),
    prompt=_text(maxLength=10_000, default=""),
    resolution=_choice("480p", "720p", "1080p", default="720p"),
)

_Z_IMAGE = _open(
    "prompt",
    prompt=_text(minLength=1, maxLength=800),
    seed=_integer(0, 2_147_483_647),
    resolution=_choice("1k", "2k", default="1k"),
    aspect_ratio=_choice(*_QWEN_RATIOS, default="1:1"),
    prompt_extend=_flag(False),
)

_FLUX = _open(
    "prompt",
    prompt=_text(),
    seed=_integer(1, 1_000_000),
    aspect_ratio=_choice("16:9", "4:3", "1:1", "3:4", "9:16", "2:3", "1:2", "2:1", "4:5", "3:2", default="16:9"),
    safety_tolerance=_integer(0, 6, default=6),
)
# The model in the README of the official Python SDK. Nothing else is known about its parameters.
_SEEDREAM = _open("prompt", prompt=_text(), resolution=_text(), aspect_ratio=_text(), camera_fixed=_flag(False))

_SOUL_1 = _soul(
    "4:3",
    seed=_nullable(_integer(1, 1_000_000)),
    style_id=_uuid(default="464ea177-8d40-4940-8d9d-b438bab269c7"),
    style_strength=_fraction(1),
    image_reference_url=_nullable(_url()),
)
_SOUL_2 = _soul(
    "1:1",
    seed=_integer(1, 1_000_000),
    style_id=_uuid(default="3db34ab5-3439-4317-9e03-08dc30852e69"),
    style_strength=_fraction(1),
)
_SOUL_CINEMA = _soul("1:1", seed=_integer(1, 1_000_000))


def _hosted(slug: str, price: str, operation: str, schema: Schema, **more: Any) -> Model:
    output: Any = "image" if operation.endswith("image") else "video"
    return Model(slug, output, operation, "jsonschema", Decimal(price), schema, **more)


def _own(slug: str, price: str, operation: str, schema: Schema, listed: bool = True) -> Model:
    output: Any = "image" if operation.endswith("image") else "video"
    return Model(f"higgsfield-ai/{slug}", output, operation, "pydantic", Decimal(price), schema, listed=listed)


_ROWS = (
    _own("soul/standard", "0.050", "text-to-image", _SOUL_1),
    _own("soul/v2/standard", "0.050", "text-to-image", _SOUL_2),
    _own("soul/cinema", "0.100", "text-to-image", _SOUL_CINEMA, listed=False),
    _own("dop/lite", "0.400", "image-to-video", _DOP, listed=False),
    _own("dop/turbo", "1.300", "image-to-video", _DOP, listed=False),
    _own("dop/standard", "1.800", "image-to-video", _DOP, listed=False),
    _hosted(
        "bytedance/seedance-2.0/text-to-video",
        "0.900",
        "text-to-video",
        _closed("prompt", **_SEEDANCE, aspect_ratio=_choice(*_VIDEO_RATIOS, default="16:9")),
    ),
    _hosted(
        "bytedance/seedance-2.0/image-to-video",
        "0.900",
        "image-to-video",
        _closed("image_url", **_SEEDANCE, image_url=_url(), end_image_url=_url()),
    ),
    _hosted(
        "bytedance/seedance-2.0/reference-to-video",
        "1.100",
        "reference-to-video",
        _SEEDANCE_FROM_REFERENCES,
        pricing_description="1.100 credits per second of the finished video",
    ),
    _hosted(
        "bytedance/seedance-2.5/text-to-video",
        "7.395",
        "text-to-video",
        _closed("prompt", **_SEEDANCE_25, aspect_ratio=_choice(*_VIDEO_RATIOS, default="16:9")),
        pricing_description=_SEEDANCE_25_PRICE,
    ),
    _hosted(
        "kling-video/v3.0/std/text-to-video",
        "2.016",
        "text-to-video",
        _open(
            prompt=_text(),
            duration=_integer(3, 15, default=5),
            sound=_choice("on", "off", default="on"),
            cfg_scale=_fraction(0.5),
            aspect_ratio=_choice("16:9", "9:16", "1:1", default="16:9"),
        ),
        discount=Decimal(45),
    ),
    _hosted(
        "kling-video/o3/video-edit",
        "2.000",
        "video-to-video",
        _open(
            "prompt",
            "video_urls",
            prompt=_text(maxLength=2500),
            video_urls=_urls(1, 1),
            image_urls=_urls(0, 4),
            mode=_choice("std", "pro", "4k", default="pro"),
        ),
    ),
    _hosted("kling-video/v2.5-turbo/pro/text-to-video", "0.700", "text-to-video", _open("prompt", **_KLING)),
    _hosted(
        "kling-video/v2.5-turbo/pro/image-to-video",
        "0.700",
        "image-to-video",
        _open("prompt", "image_url", **_KLING, image_url=_url()),
    ),
    _hosted("z-image/turbo", "0.030", "text-to-image", _Z_IMAGE),
    _hosted("flux-pro/kontext/max/text-to-image", "0.080", "text-to-image", _FLUX),
    _hosted("bytedance/seedream/v4/text-to-image", "0.040", "text-to-image", _SEEDREAM, listed=False),
    _hosted("marketing-studio/image", "1.500", "text-to-image", _STUDIO),
    _hosted("higgsfield/genjutsu/restyle/v1.0", "1.200", "video-to-video", _RESTYLE),
)

_SIZES = (
    "2048x1152", "2048x1536", "2016x1344", "1696x960", "1632x1088", "1152x2048", "1536x2048", "1344x2016", "960x1696",
    "1088x1632", "1536x1536", "1536x1152", "1152x1536",
)  # fmt: skip


def _media(kind: str) -> Schema:
    return _open("type", kind, type=_choice(kind), **{kind: _url()})


def _v1(slug: str, job_type: str, operation: str, schema: Schema, parameter: str, **prices: str) -> Model:
    output: Any = "image" if operation.endswith("image") else "video"
    price_by = (parameter, {value.replace("_", "-"): Decimal(price) for value, price in prices.items()})
    return Model(
        slug,
        output,
        operation,
        "pydantic",
        Decimal(0),
        schema,
        price_by=price_by,
        listed=False,
        job_type=job_type,
    )


_V1_SEED = _nullable(_integer(0, 1_000_000))
_V1_COMMON = {"seed": _V1_SEED, "enhance_prompt": _flag(True)}
_POPCORN_RATIOS = ("3:4", "2:3", "3:2", "9:16", "1:1", "4:3", "16:9")
_MAX_KEYFRAMES = 8
"""The largest `count` of keyframes. Higgsfield publishes none; this is the largest number of its v2 form, Popcorn."""
_MOTIONS = _nullable(
    {"type": "array", "maxItems": 2, "items": _open("id", "strength", id=_uuid(), strength=_fraction(1))}
)
_V1_ROWS = (
    _v1(
        "v1/text2image/soul",
        "text2image_soul",
        "text-to-image",
        _open(
            "prompt",
            "width_and_height",
            prompt=_text(),
            width_and_height=_choice(*_SIZES),
            quality=_choice("720p", "1080p", default="1080p"),
            batch_size=_choice(1, 4, default=1),
            style_id=_nullable(_uuid()),
            style_strength=_fraction(1),
            custom_reference_id=_nullable(_uuid()),
            custom_reference_strength=_fraction(1),
            image_reference=_nullable(_media("image_url")),
            **_V1_COMMON,
        ),
        "quality",
        **{"720p": "1.5", "1080p": "3"},
    ),
    _v1(
        "v1/text2image/keyframes",
        "keyframes",
        "text-to-image",
        _open(
            "prompt",
            prompt=_text(),
            aspect_ratio=_choice(*_POPCORN_RATIOS, default="3:4"),
            count=_integer(1, _MAX_KEYFRAMES, default=1),
            image_references={"type": "array", "maxItems": 8, "items": _media("image_url")},
            quality=_choice("720p", "1600p", default="720p"),
            seed=_nullable(_integer(1, 1_000_000)),
        ),
        "quality",
        **{"720p": "1.5", "1600p": "3"},
    ),
    _v1(
        "v1/image2video/dop",
        "image2video",
        "image-to-video",
        _open(
            "model",
            "prompt",
            "input_images",
            model=_choice("dop-lite", "dop-turbo", "dop-standard", "dop-preview"),
            prompt=_text(),
            input_images={"type": "array", "minItems": 1, "items": _media("image_url")},
            input_images_end=_nullable({"type": "array", "items": _media("image_url")}),
            motions=_MOTIONS,
            **_V1_COMMON,
        ),
        "model",
        dop_lite="0.4",
        dop_turbo="1.3",
        dop_standard="1.8",
        dop_preview="1.8",
    ),
    _v1(
        "v1/speak/higgsfield",
        "speak",
        "speech-to-video",
        _open(
            "input_image",
            "input_audio",
            "prompt",
            input_image=_media("image_url"),
            input_audio=_media("audio_url"),
            prompt=_text(),
            quality=_choice("mid", "high", default="mid"),
            duration=_choice(5, 10, 15, default=5),
            **(_V1_COMMON | {"seed": _V1_SEED | {"default": 42}}),
        ),
        "quality",
        mid="2.2",
        high="3.6",
    ),
    # It is shaped like the others, although its path does not begin with v1.
    _v1(
        "generate/kling-2-5",
        "kling",
        "text-to-video",
        _open(
            "model",
            "prompt",
            model=_choice("kling-v2-5-turbo"),
            prompt=_text(minLength=1, maxLength=1000),
            duration=_choice(5, 10, default=5),
            cfg_scale=_fraction(0.5),
            enhance_prompt=_flag(False),
            input_image=_nullable(_media("image_url")),
            negative_prompt=_text(default=""),
        ),
        "model",
        kling_v2_5_turbo="0.8",
    ),
)

V1_MODELS: dict[str, Model] = {row.slug: row for row in _V1_ROWS}
"""The models with the form of v1 by slug, with the prices of 2025, when a credit cost 1/16 USD.

The prices of keyframes and of dop-preview are not known, and neither are the job types of Speak, keyframes and Kling,
which the sandbox calls `speak`, `keyframes` and `kling`.
"""

MODELS: dict[str, Model] = {row.slug: row for row in _ROWS}
"""The v2 models by slug."""
