"""Model ids, bodies and field names of the inputs in Higgsfield's v2 API, from its model pages. Pure functions."""

from collections.abc import Mapping
from typing import Any

from gateway.errors import path_below
from gateway.generations.inputs import DopInput, DopVariant, Input, ModelInput, SoulInput, SoulVersion, SpeakInput
from gateway.generations.model import InputKind, canonical_json

SOUL_MODELS = {
    SoulVersion.V1: "higgsfield-ai/soul/standard",
    SoulVersion.V2: "higgsfield-ai/soul/v2/standard",
    SoulVersion.CINEMA: "higgsfield-ai/soul/cinema",
}
DOP_MODELS = {
    DopVariant.LITE: "higgsfield-ai/dop/lite",
    DopVariant.STANDARD: "higgsfield-ai/dop/standard",
    DopVariant.TURBO: "higgsfield-ai/dop/turbo",
}

MAX_BATCH_SIZE = 2**31 - 1
"""The most outputs that are counted: the stores keep their number in 32 bits."""

_OWN_NAMES: Mapping[InputKind, Mapping[str, str]] = {
    InputKind.SOUL: {"custom_reference_id": "character_id", "custom_reference_strength": "character_strength"},
    InputKind.DOP: {"image_url": "image_urls"},
}


def model_id(given: Input) -> str:
    """Return the v2 model for an input. Raises ValueError if there is none."""
    match given:
        case SoulInput():
            return SOUL_MODELS[given.version]
        case DopInput():
            return DOP_MODELS[given.variant]
        case SpeakInput():
            raise ValueError("v2 has no Speak")
        case ModelInput():
            return given.model_id


def kind(given: Input) -> InputKind:
    """Return the kind of an input, as named in `GenerationInput`. Raises ValueError for Speak, which v2 lacks."""
    match given:
        case SoulInput():
            return InputKind.SOUL
        case DopInput():
            return InputKind.DOP
        case SpeakInput():
            raise ValueError("v2 has no Speak")
        case ModelInput():
            return InputKind.MODEL


def body(given: Input) -> bytes:
    """Return the JSON body: the fields of the model. Raises ValueError for Speak, which v2 does not have.

    Fields that are not set are omitted, because null has another meaning.
    """
    match given:
        case SoulInput():
            fields = _soul(given)
        case DopInput():
            fields = _dop(given)
        case SpeakInput():
            raise ValueError("v2 has no Speak")
        case ModelInput():
            return given.canonical.encode("utf-8", "replace")
    return canonical_json(fields).encode("utf-8", "replace")


def outputs(given: Input) -> int | None:
    """Return how many outputs an input asks for; None if its number is not usable."""
    if isinstance(given, SoulInput):
        return given.batch_size or 1
    if isinstance(given, ModelInput):
        return batch(given, "batch_size")
    return 1


def batch(given: ModelInput, *names: str) -> int | None:
    """Return the largest number of outputs that these parameters ask for: an endpoint may ignore the others.

    Without any of them it is 1, and None if one has no usable number. Higgsfield publishes no maximum.
    """
    sizes = [given.parameters[name] for name in names if name in given.parameters]
    if all(type(size) is int and 1 <= size <= MAX_BATCH_SIZE for size in sizes):
        return max(sizes, default=1)
    return None


def field_path(input_kind: InputKind, location: list[str | int]) -> str:
    """Return the path in the protos of a field that Higgsfield names by its location in the body."""
    parts = [part for index, part in enumerate(location) if not (index == 0 and part == "body")]
    if input_kind is InputKind.MODEL:
        return path_below("input.model.parameters", parts)
    names = _OWN_NAMES.get(input_kind, {})
    parts = [names.get(part, part) if isinstance(part, str) else part for part in parts]
    return path_below(f"input.{input_kind.value}", parts)


def _soul(given: SoulInput) -> dict[str, Any]:
    return given_fields(
        prompt=given.prompt,
        aspect_ratio=given.aspect_ratio or None,
        resolution=given.resolution or "720p",
        batch_size=given.batch_size or 1,
        style_id=given.style_id or None,
        style_strength=given.style_strength,
        custom_reference_id=given.character_id or None,
        custom_reference_strength=given.character_strength,
        image_reference_url=given.image_reference_url or None,
        enhance_prompt=given.enhance_prompt,
        seed=given.seed,
    )


def motions(given: DopInput) -> list[dict[str, Any]]:
    """Return the motions of an input."""
    return [
        {"id": motion.motion_id, "strength": 1 if motion.strength is None else motion.strength}
        for motion in given.motions
    ]


def _dop(given: DopInput) -> dict[str, Any]:
    return given_fields(
        prompt=given.prompt,
        image_url=given.image_urls[0],
        end_image_url=given.end_image_url or None,
        motions=motions(given) or None,
        enhance_prompt=given.enhance_prompt,
        seed=given.seed,
    )


def given_fields(**fields: Any) -> dict[str, Any]:
    """Return the fields that are set. None means that a field is not."""
    return {name: value for name, value in fields.items() if value is not None}
