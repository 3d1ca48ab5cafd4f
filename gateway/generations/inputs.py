"""The inputs of generations, and their validation before anything is stored, sent or charged.

The rules of the fields come from the model pages of Higgsfield's documentation, those of v1 from its older API
reference and its JavaScript SDK. The parameters of hosted models are sent as they are.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from enum import Enum
from functools import cached_property
from typing import Any

from gateway.errors import Violation
from gateway.frozen import frozen
from gateway.generations.model import Api, MediaKind, canonical_json

MODEL_ID = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*){0,5}")
SIZES = (
    (2048, 1152), (2048, 1536), (2016, 1344), (1696, 960), (1632, 1088), (1152, 2048), (1536, 2048), (1344, 2016),
    (960, 1696), (1088, 1632), (1536, 1536), (1536, 1152), (1152, 1536),
)  # fmt: skip
"""The widths and heights that v1 allows for Soul."""
SPEAK_SECONDS = (5, 10, 15)
OTHER_AUDIO = re.compile(r"(?i)\.(aac|aif|aiff|flac|m4a|m4b|mka|mov|mp3|mp4|oga|ogg|opus|weba|webm|wma)$")
"""Endings of URL paths that certainly are no WAV file. Any other path may be one."""
OTHER_PARTS = frozenset(
    {
        "requests", "job-sets", "files", "uploads", "models", "presets", "motions", "soul-styles", "estimate",
        "custom-references", "characters", "agent", "agents", "webhooks",
    }
)  # fmt: skip
"""Segments of paths that do not create a generation; see `_path`."""
OBJECT_ID = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")
ASPECT_RATIOS = ("9:16", "16:9", "4:3", "3:4", "1:1", "2:3", "3:2")
RESOLUTIONS = ("720p", "1080p")
MAX_URL_LENGTH = 2083
MAX_DEPTH = 32


class SoulVersion(Enum):
    """The generations of Soul, by number as in `SoulVersion` of the protos."""

    V1 = 1
    V2 = 2
    CINEMA = 3


class DopVariant(Enum):
    """The variants of DoP, by number as in `DopVariant` of the protos."""

    LITE = 1
    STANDARD = 2
    TURBO = 3


class SpeakQuality(Enum):
    """The qualities of Speak, by number as in `SpeakQuality` of the protos."""

    MID = 1
    HIGH = 2


@frozen
class SoulInput:
    """Text to image with Soul. Empty and None mean that a field is not set."""

    prompt: str
    version: SoulVersion = SoulVersion.V1
    aspect_ratio: str = ""
    width: int = 0
    height: int = 0
    resolution: str = ""
    batch_size: int = 0
    style_id: str = ""
    style_strength: float | None = None
    character_id: str = ""
    character_strength: float | None = None
    image_reference_url: str = ""
    enhance_prompt: bool | None = None
    seed: int | None = None


@frozen
class Motion:
    """A motion preset and its strength; None means 1."""

    motion_id: str
    strength: float | None = None


@frozen
class DopInput:
    """Image to video with DoP."""

    prompt: str
    variant: DopVariant = DopVariant.TURBO
    image_urls: tuple[str, ...] = ()
    end_image_url: str = ""
    motions: tuple[Motion, ...] = ()
    enhance_prompt: bool | None = None
    seed: int | None = None


@frozen
class SpeakInput:
    """Speech to video with Speak v2."""

    image_url: str
    audio_url: str
    prompt: str
    quality: SpeakQuality = SpeakQuality.MID
    duration_seconds: int = 0
    enhance_prompt: bool | None = None
    seed: int | None = None


@dataclass(frozen=True)
class ModelInput:
    """Any model or endpoint by its path, with the parameters to send. `api` is the form of the endpoint."""

    model_id: str
    parameters: Mapping[str, Any]
    api: Api = "v2"

    @cached_property
    def canonical(self) -> str:
        """The parameters as canonical JSON, which is sent and fingerprinted. Raises ValueError."""
        return canonical_json(plain(self.parameters))


Input = SoulInput | DopInput | SpeakInput | ModelInput

_SECONDS = re.compile(r"(\d{1,4}(?:\.\d{1,2})?)s?")
_SIZE = re.compile(r"([a-z0-9]{1,8}?)p?")


def traits(given: Input, kind: MediaKind) -> str:
    """Return what the run time of an input depends on besides its model: its kind, duration and resolution.

    The first word is the kind of the output. `kind` is that of a hosted model, if it is known. Fields that are not set
    are left out; such inputs are not compared with those that set the default.
    """
    match given:
        case SoulInput():
            return _join_traits(MediaKind.IMAGE, None, given.resolution)
        case DopInput():
            return _join_traits(MediaKind.VIDEO, None, "")
        case SpeakInput():
            return _join_traits(MediaKind.VIDEO, given.duration_seconds or None, given.quality.name)
        case ModelInput():
            size = "quality" if given.api == "v1" else "resolution"
            duration, resolution = (given.parameters.get(name) for name in ("duration", size))
            guessed = MediaKind.VIDEO if duration is not None or "video" in given.model_id else MediaKind.IMAGE
            return _join_traits(kind or guessed, duration, resolution)


def _join_traits(kind: MediaKind, duration: object, resolution: object) -> str:
    words = [kind.name.lower()]
    number = isinstance(duration, int | float) and not isinstance(duration, bool)
    text = f"{duration:g}" if number else str(duration).lower()
    if seconds := _SECONDS.fullmatch(text):
        words.append(f"{float(seconds[1]):g}s")
    if size := _SIZE.fullmatch(str(resolution).lower() if resolution else ""):
        words.append(size[1])
    return " ".join(words)


def violations(given: Input) -> list[Violation]:
    """Return the fields of the input that are certainly wrong."""
    match given:
        case SoulInput():
            return list(_soul(given))
        case DopInput():
            return list(_dop(given))
        case SpeakInput():
            return list(_speak(given))
        case ModelInput():
            return list(_model(given))


def only_v1(given: Input) -> str | None:
    """Return the field that needs Higgsfield's v1 API; None if the input is sent to v2.

    There is no idempotency key in v1, no cancel, no estimate and no deletion: what v2 can express goes to v2.
    """
    match given:
        case SoulInput() if given.width or given.height:
            return "input.soul.width" if given.width else "input.soul.height"
        case DopInput() if len(given.image_urls) > 1:
            return "input.dop.image_urls"
        case SpeakInput():
            return "input.speak"
        case ModelInput() if given.api == "v1":
            return "input.model.api_version"
    return None


def fingerprint(given: Input, outputs_ttl: float | None) -> bytes:
    """Return what identifies an input under one idempotency key: the same for the same content, however encoded.

    The first byte is the version. Version 2 leaves out fields that have their default, so that a new optional field
    does not change the fingerprint of inputs without it.
    """
    return b"\x02" + _digest(given, outputs_ttl, _is_default)


def first_fingerprint(given: Input, outputs_ttl: float | None) -> bytes:
    """Return version 1 of the fingerprint, which stores may still hold: it has the defaults of its fields in it."""
    return b"\x01" + _digest(given, outputs_ttl, _is_unset_in_version_1)


def is_same(stored: bytes, given: Input, outputs_ttl: float | None) -> bool:
    """Return whether a stored fingerprint, of any version, is that of this input."""
    version = first_fingerprint if stored[:1] == b"\x01" else fingerprint
    return stored == version(given, outputs_ttl)


def added(default: Any) -> Any:
    """Declare an optional field that was added to what a fingerprint covers after the first release."""
    return field(default=default, metadata={"added": True})


def added_values(value: Any) -> list[dict[str, Any]]:
    """Return the fields declared by `added` that are set, for the end of a fingerprint's list; empty if none is."""
    declared = [field for field in fields(value) if "added" in field.metadata]
    found = {
        field.name: plain(getattr(value, field.name))
        for field in declared
        if not _is_default(field, getattr(value, field.name))
    }
    return [found] if found else []


Unset = Callable[[Field[Any], object], bool]


def _is_default(declared: Field[Any], value: object) -> bool:
    return value is None or value == declared.default


def _is_unset_in_version_1(declared: Field[Any], value: object) -> bool:
    return value is None or ("added" in declared.metadata and value == declared.default)


def _digest(given: Input, outputs_ttl: float | None, unset: Unset) -> bytes:
    named = type(given).__name__
    if isinstance(given, ModelInput):
        content = f"{given.model_id}\0{given.canonical}" + ("\0v1" if given.api == "v1" else "")
    else:
        content = canonical_json(plain(given, unset))
    ttl = "" if outputs_ttl is None else repr(outputs_ttl)
    return hashlib.sha256(f"{named}\0{content}\0{ttl}".encode("utf-8", "surrogatepass")).digest()


def url_violations(path: str, value: str) -> list[Violation]:
    """Return the problems of a URL in a field."""
    return list(_url(path, value))


def plain(value: object, unset: Unset = _is_default) -> Any:
    """Return a value as JSON-like data, without unset fields, and with whole numbers as integers."""
    if isinstance(value, str | bool):  # nearly all are
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return value if not value else dict(value)
    if isinstance(value, tuple):
        return [plain(item, unset) for item in value]
    fields: Mapping[str, Field[Any]] | None = getattr(value, "__dataclass_fields__", None)
    if fields is not None:
        return {
            name: plain(item, unset)
            for name, declared in fields.items()
            if not unset(declared, item := getattr(value, name))
        }
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _soul(given: SoulInput) -> Iterator[Violation]:
    at = "input.soul."
    if not given.prompt.strip():
        yield Violation(at + "prompt", "is required")
    if given.width or given.height:
        yield from _size(given)
    if given.aspect_ratio and given.aspect_ratio not in ASPECT_RATIOS:
        yield Violation(at + "aspect_ratio", f"must be one of {', '.join(ASPECT_RATIOS)}")
    if given.resolution and given.resolution not in RESOLUTIONS:
        yield Violation(at + "resolution", f"must be one of {', '.join(RESOLUTIONS)}")
    if given.batch_size not in {0, 1, 4}:
        yield Violation(at + "batch_size", "must be 1 or 4")
    if given.style_id and given.version is SoulVersion.CINEMA:
        yield Violation(at + "style_id", "Soul Cinema has one fixed style")
    if given.style_strength is not None and not given.style_id:
        yield Violation(at + "style_strength", "needs style_id")
    if given.character_strength is not None and not given.character_id:
        yield Violation(at + "character_strength", "needs character_id")
    if given.image_reference_url and given.version is not SoulVersion.V1:
        yield Violation(at + "image_reference_url", "only Soul 1 takes it")
    yield from _identifiers(at, style_id=given.style_id, character_id=given.character_id)
    yield from _fraction(at + "style_strength", given.style_strength)
    yield from _fraction(at + "character_strength", given.character_strength)
    yield from _url(at + "image_reference_url", given.image_reference_url)
    yield from _seed(at + "seed", given.seed)


def _size(given: SoulInput) -> Iterator[Violation]:
    """Check a size in pixels. Only v1 has sizes, a fixed list of them, and only for Soul 1."""
    at = "input.soul."
    if (given.width, given.height) not in SIZES:
        known = ", ".join(f"{width}x{height}" for width, height in SIZES)
        yield Violation(at + ("width" if given.width else "height"), f"width and height must be one of {known}")
    if given.aspect_ratio:
        yield Violation(at + "aspect_ratio", "is not for an input with width and height")
    if given.version is not SoulVersion.V1:
        yield Violation(at + "version", "only Soul 1 takes width and height")


def _dop(given: DopInput) -> Iterator[Violation]:
    at = "input.dop."
    if not given.prompt.strip():
        yield Violation(at + "prompt", "is required")
    if not given.image_urls:
        yield Violation(at + "image_urls", "needs at least one")
    for index, url in enumerate(given.image_urls):
        name = f"{at}image_urls[{index}]"
        yield from _url(name, url) if url else iter([Violation(name, "is empty")])
    yield from _url(at + "end_image_url", given.end_image_url)
    if len(given.motions) > 2:
        yield Violation(at + "motions", "must have at most 2 motions")
    for index, motion in enumerate(given.motions):
        if not motion.motion_id:
            yield Violation(f"{at}motions[{index}].motion_id", "is required")
        yield from _identifiers(f"{at}motions[{index}].", motion_id=motion.motion_id)
        yield from _fraction(f"{at}motions[{index}].strength", motion.strength)
    yield from _seed(at + "seed", given.seed)


def _speak(given: SpeakInput) -> Iterator[Violation]:
    at = "input.speak."
    for name in ("image_url", "audio_url", "prompt"):
        if not getattr(given, name).strip():
            yield Violation(at + name, "is required")
    yield from _url(at + "image_url", given.image_url)
    yield from _url(at + "audio_url", given.audio_url)
    ending = OTHER_AUDIO.search(re.split("[?#]", given.audio_url, maxsplit=1)[0][-5:])
    if ending:
        yield Violation(at + "audio_url", f"must be a WAV file, not {ending[0].lower()}")
    if given.duration_seconds not in {0, *SPEAK_SECONDS}:
        yield Violation(at + "duration_seconds", "must be 5, 10 or 15")
    yield from _seed(at + "seed", given.seed)


def _model(given: ModelInput) -> Iterator[Violation]:
    at = "input.model."
    yield from _path(at + "model_id", given.model_id)
    if given.api == "v2" and given.model_id.startswith("v1/"):
        yield Violation(at + "api_version", "must be API_VERSION_V1 for a path that begins with v1/")
    elif given.api == "v2" and isinstance(given.parameters.get("params"), Mapping):
        # Sent as v2, an endpoint of v1 would get an idempotency key that it may ignore, and be charged for a repeat.
        yield Violation(at + "api_version", "must be API_VERSION_V1 for params, whose members are then the parameters")
    if _may_be_unsendable(given):
        yield from _unsendable(at + "parameters", given.parameters, MAX_DEPTH)


def _path(at: str, path: str) -> Iterator[Violation]:
    """Report a path that may do something else than create a generation of this caller.

    The gateway's credentials reach everything of the account. What a call to another part of the API does would be
    neither charged to a key nor limited to the caller's tenant: it could cancel another tenant's generation, send a
    message in its conversation, or train a character. The names of those parts are reserved at every place of a path,
    so that another prefix or version does not reach them. Ids are refused because a new generation has none. In v1 the
    known endpoints have a task and a name; a POST to a collection would create another kind of object.
    """
    segments = path.split("/")
    if not path:
        yield Violation(at, "is required")
    elif len(path) > 200:
        yield Violation(at, "must not be longer than 200 characters")
    elif not MODEL_ID.fullmatch(path) or ".." in path:
        segment = "that begin with a letter or digit, of a-z, 0-9, '.', '_', '-', without '..'"
        yield Violation(at, f"must be 1 to 6 segments {segment}, joined by '/'")
    elif (
        (segments[0] == "v1" and len(segments) < 3)
        or not OTHER_PARTS.isdisjoint(segments)
        or any(map(OBJECT_ID.fullmatch, segments))
    ):
        yield Violation(at, "is a path of the API that does not create a generation")


def _may_be_unsendable(given: ModelInput) -> bool:
    """Return whether each value must be examined. Most parameters are flat and valid JSON."""
    try:
        return not given.canonical or any(isinstance(value, (dict, list)) for value in given.parameters.values())
    except ValueError:
        return True


def _unsendable(path: str, value: object, depth: int) -> Iterator[Violation]:
    """Report values that JSON cannot represent."""
    if isinstance(value, Mapping | list) and depth == 0:
        yield Violation(path, f"is nested more than {MAX_DEPTH} deep")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _unsendable(f"{path}.{name}", item, depth - 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unsendable(f"{path}[{index}]", item, depth - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Violation(path, "must be a finite number")


def _fraction(path: str, value: float | None) -> Iterator[Violation]:
    if value is not None and not 0 <= value <= 1:
        yield Violation(path, "must be between 0 and 1")


def _seed(path: str, value: int | None) -> Iterator[Violation]:
    if value is not None and not 1 <= value <= 1_000_000:
        yield Violation(path, "must be between 1 and 1000000")


def _url(path: str, value: str) -> Iterator[Violation]:
    if value and not re.fullmatch(r"https?://[^\s\x00-\x1f\x7f-\x9f/?#@]+(?:[/?#][^\s\x00-\x1f\x7f-\x9f]*)?", value):
        yield Violation(path, "must be an http or https URL without a user name, spaces or control characters")
    elif len(value) > MAX_URL_LENGTH:
        yield Violation(path, f"must not be longer than {MAX_URL_LENGTH} characters")


def _identifiers(at: str, **given: str) -> Iterator[Violation]:
    for name, value in given.items():
        if value and not re.fullmatch(r"[\x21-\x7e]{1,255}", value):
            yield Violation(at + name, "must be at most 255 visible ASCII characters")
