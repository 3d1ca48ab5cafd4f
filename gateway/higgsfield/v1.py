"""Paths, bodies and field names of the inputs that are sent to Higgsfield's v1 API.

They come from its older API reference and its JavaScript SDK. A response is a job set; see `jobsets`. Idempotency keys,
cancel, deletion and estimates are not documented for v1.
"""

from collections.abc import Mapping
from typing import Any

from gateway.errors import path_below
from gateway.generations.inputs import (
    SPEAK_SECONDS,
    DopInput,
    DopVariant,
    Input,
    ModelInput,
    SoulInput,
    SpeakInput,
    SpeakQuality,
    plain,
)
from gateway.generations.model import InputKind, canonical_json
from gateway.generations.ports import WebhookAddress
from gateway.higgsfield import v2

SOUL, DOP, SPEAK = "v1/text2image/soul", "v1/image2video/dop", "v1/speak/higgsfield"
DOP_MODELS = {DopVariant.LITE: "dop-lite", DopVariant.STANDARD: "dop-standard", DopVariant.TURBO: "dop-turbo"}
QUALITIES = {SpeakQuality.MID: "mid", SpeakQuality.HIGH: "high"}
PROOF_HEADER = "x-webhook-secret-key"
"""The header in which a webhook carries the secret of its `webhook` object (Higgsfield's JavaScript SDK)."""

_OWN_NAMES: Mapping[InputKind, Mapping[str, str]] = {
    InputKind.V1_SOUL: {
        "width_and_height": "width",
        "quality": "resolution",
        "custom_reference_id": "character_id",
        "custom_reference_strength": "character_strength",
        "image_reference": "image_reference_url",
    },
    InputKind.V1_DOP: {
        "model": "variant",
        "input_images": "image_urls",
        "input_images_end": "end_image_url",
        "id": "motion_id",
    },
    InputKind.V1_SPEAK: {"input_image": "image_url", "input_audio": "audio_url", "duration": "duration_seconds"},
}
KINDS = {
    InputKind.V1_SOUL: "soul",
    InputKind.V1_DOP: "dop",
    InputKind.V1_SPEAK: "speak",
    InputKind.V1_MODEL: "model.parameters",
}
"""The kinds of inputs that are sent to v1, with the paths of their fields in the protos."""


def model_id(given: Input) -> str:
    """Return the model id: the path of the call without its first slash."""
    match given:
        case SoulInput():
            return SOUL
        case DopInput():
            return DOP
        case SpeakInput():
            return SPEAK
        case ModelInput():
            return given.model_id


def kind(given: Input) -> InputKind:
    """Return the kind of an input that is sent to v1."""
    return InputKind.V1_MODEL if isinstance(given, ModelInput) else InputKind(model_id(given))


def body(given: Input, webhook: WebhookAddress | None) -> bytes:
    """Return the JSON body: the fields under `params`, and the webhook's URL and secret beside them."""
    match given:
        case SoulInput():
            params = _soul(given)
        case DopInput():
            params = _dop(given)
        case SpeakInput():
            params = _speak(given)
        case ModelInput():
            params = plain(given.parameters)
    content: dict[str, Any] = {"params": params}
    if webhook is not None:
        content["webhook"] = {"url": webhook.url, "secret": webhook.secret}
    return canonical_json(content).encode("utf-8", "replace")


def outputs(given: Input) -> int | None:
    """Return how many outputs an input asks for; None if its number is not usable."""
    match given:
        case SoulInput():
            return given.batch_size or 1
        case ModelInput():
            return v2.batch(given, "batch_size", "count")
    return 1


def field_path(kind: InputKind, location: list[str | int]) -> str:
    """Return the path in the protos of a field that Higgsfield names by its location in the body."""
    if location[:1] == ["body"]:
        location = location[1:]
    if location[:1] == ["params"]:
        location = location[1:]
    path = f"input.{KINDS[kind]}"
    if kind is InputKind.V1_MODEL:
        return path_below(path, location)
    for part in location:
        if part in ("image_url", "audio_url") and path.endswith(("]", "_url")):
            continue  # a URL is an object in v1 and a string in the protos
        named = _OWN_NAMES[kind].get(part, part) if isinstance(part, str) else part
        if isinstance(named, int) and path.endswith("_url"):
            continue  # a list in v1 and a single string in the protos
        path = path_below(path, [named])
    return path


def _soul(given: SoulInput) -> dict[str, Any]:
    return v2.given_fields(
        prompt=given.prompt,
        width_and_height=f"{given.width}x{given.height}",
        quality=given.resolution or "720p",
        batch_size=given.batch_size or 1,
        style_id=given.style_id or None,
        style_strength=given.style_strength,
        custom_reference_id=given.character_id or None,
        custom_reference_strength=given.character_strength,
        image_reference=_image(given.image_reference_url) if given.image_reference_url else None,
        enhance_prompt=given.enhance_prompt,
        seed=given.seed,
    )


def _dop(given: DopInput) -> dict[str, Any]:
    return v2.given_fields(
        model=DOP_MODELS[given.variant],
        prompt=given.prompt,
        input_images=[_image(url) for url in given.image_urls],
        input_images_end=[_image(given.end_image_url)] if given.end_image_url else None,
        motions=v2.motions(given) or None,
        enhance_prompt=given.enhance_prompt,
        seed=given.seed,
    )


def _speak(given: SpeakInput) -> dict[str, Any]:
    return v2.given_fields(
        input_image=_image(given.image_url),
        input_audio={"type": "audio_url", "audio_url": given.audio_url},
        prompt=given.prompt,
        quality=QUALITIES[given.quality],
        duration=given.duration_seconds or SPEAK_SECONDS[0],
        enhance_prompt=given.enhance_prompt,
        seed=given.seed,
    )


def _image(url: str) -> dict[str, str]:
    return {"type": "image_url", "image_url": url}
