"""Higgsfield's catalogs, parsed tolerantly: unknown fields are ignored, unreadable items are skipped and counted.

Higgsfield documents none of the formats. `GET /models` and the presets are known from observation,
the v1 lists from the official JavaScript SDK.
"""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from gateway.catalog.model import (
    MODELS,
    MOTIONS,
    PRESETS,
    SOUL_STYLES_V1,
    SOUL_STYLES_V2,
    Item,
    Model,
    Motion,
    Preset,
    Reading,
    SoulStyle,
)
from gateway.errors import upstream_unavailable
from gateway.generations.inputs import MAX_URL_LENGTH, MODEL_ID
from gateway.generations.model import MediaKind
from gateway.higgsfield.client import HiggsfieldClient
from gateway.higgsfield.payloads import is_link
from gateway.higgsfield.redact import redacted

MAX_PAGES = 20
"""The most pages of a list that are read. The presets of the marketing studio had two in September 2026."""
STUDIO = "marketing-studio/image"
"""The presets of all models of this family are one list, at a different path."""
MAX_SCHEMA_DEPTH = 24
"""The most levels of a schema. Its message has three times as many, and decoders refuse more than a hundred."""
MAX_SCHEMA_BYTES = 256 * 1024
MAX_CURSOR_LENGTH = 500
_ID = re.compile(r"[\x21-\x7e]{1,255}")
_PLACES = {
    MODELS: ("/models", "limit=500&include_schema=true"),
    MOTIONS: ("/v1/motions", ""),
    SOUL_STYLES_V1: ("/v1/text2image/soul-styles", ""),
    SOUL_STYLES_V2: ("/v1/text2image/soul-styles/v2", ""),
}
_KINDS = {"image": MediaKind.IMAGE, "video": MediaKind.VIDEO, "audio": MediaKind.AUDIO}


class _ModelRow(BaseModel):
    slug: str = Field(validation_alias=AliasChoices("slug", "id"))
    output_type: Any = None
    operation_type: Any = None
    input_schema: Any = None


class _Row(BaseModel):
    id: str
    name: Any = None
    description: Any = None
    preview_url: Any = None
    cover_image: Any = None
    start_end_frame: Any = None


class HiggsfieldCatalogs:
    """Implements `CatalogSource` for the client's account."""

    def __init__(self, client: HiggsfieldClient) -> None:
        self._client = client

    @property
    def account(self) -> str:
        """The id of the credentials."""
        return self._client.account

    @property
    def origin(self) -> str:
        """The origin of the API."""
        return self._client.origin

    async def read(self, name: str) -> Reading:
        """Fetch a catalog by its name. Raises GatewayError."""
        if name in _PLACES:
            path, query = _PLACES[name]
            bodies = [await self._client.catalog(path, query)]
        else:
            bodies = await self._presets(name.removeprefix(PRESETS))
        # Parse in a thread, because the bodies may have megabytes.
        return await asyncio.to_thread(read_catalog, name, bodies, self._client.secrets)

    async def _presets(self, model_id: str) -> list[bytes]:
        """Return the pages of a model's presets. Only those of the marketing studio have several."""
        if model_id != STUDIO and not model_id.startswith(STUDIO + "/"):
            return [await self._client.catalog(f"/models/{model_id}/presets", "")]
        pages: list[bytes] = []
        cursors = {""}
        query = {"size": "50"}
        while len(pages) < MAX_PAGES:
            pages.append(await self._client.catalog(f"/{STUDIO}/presets", urlencode(query)))
            query["cursor"] = _cursor(pages[-1])
            if query["cursor"] in cursors:
                break
            cursors.add(query["cursor"])
        return pages


def read_catalog(name: str, bodies: Sequence[bytes], secrets: tuple[str, ...]) -> Reading:
    """Parse the pages of a catalog: arrays, or objects with `items`. Raises GatewayError if one is neither."""
    rows = [row for body in bodies for row in _rows(body)]
    kind = _READERS.get(name, _preset)
    found: dict[str, Item] = {}
    skipped = 0
    for row in rows:
        try:
            item = kind(row, secrets)
        except (ValidationError, ValueError):
            skipped += 1
        else:
            found.setdefault(item.id, item)
    if not found and (rows or name == MODELS):
        raise upstream_unavailable("Higgsfield's list could not be read: no item is valid")
    return Reading(tuple(found.values()), skipped)


def _rows(body: bytes) -> list[Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    rows = content.get("items") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise upstream_unavailable("Higgsfield's list could not be read")
    return rows


def _cursor(body: bytes) -> str:
    """Return the cursor of the next page, which was observed as a number; empty after the last page."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    cursor = content.get("cursor") if isinstance(content, dict) and content.get("items") else None
    usable = isinstance(cursor, str | int) and not isinstance(cursor, bool) and len(str(cursor)) <= MAX_CURSOR_LENGTH
    return str(cursor) if usable else ""


def _model(row: object, secrets: tuple[str, ...]) -> Model:
    read = _ModelRow.model_validate(row)
    model_id = read.slug.strip("/")
    if not MODEL_ID.fullmatch(model_id) or ".." in model_id or len(model_id) > 200:
        raise ValueError("no id that could be called")
    return Model(model_id, _kind(read.output_type), _tasks(read.operation_type, secrets), _schema(read.input_schema))


def _motion(row: object, secrets: tuple[str, ...]) -> Motion:
    read = _row(row)
    between = read.start_end_frame is True
    return Motion(read.id, *_told(read, secrets), _url(read.preview_url), between)


def _soul_style(row: object, secrets: tuple[str, ...]) -> SoulStyle:
    read = _row(row)
    return SoulStyle(read.id, *_told(read, secrets), _url(read.preview_url))


def _preset(row: object, secrets: tuple[str, ...]) -> Preset:
    read = _row(row)
    cover = read.cover_image.get("url") if isinstance(read.cover_image, dict) else None
    return Preset(read.id, _told(read, secrets)[0], _url(read.preview_url) or _url(cover))


_READERS: dict[str, Callable[[object, tuple[str, ...]], Item]] = {
    MODELS: _model,
    MOTIONS: _motion,
    SOUL_STYLES_V1: _soul_style,
    SOUL_STYLES_V2: _soul_style,
}


def _row(row: object) -> _Row:
    read = _Row.model_validate(row)
    if not _ID.fullmatch(read.id):
        raise ValueError("no id that could be sent")
    return read


def _told(row: _Row, secrets: tuple[str, ...]) -> tuple[str, str]:
    return _text(row.name, secrets), _text(row.description, secrets)


def _text(value: object, secrets: tuple[str, ...]) -> str:
    return redacted(value, secrets) if isinstance(value, str) else ""


def _url(value: object) -> str:
    return value if is_link(value) and len(value) <= MAX_URL_LENGTH else ""


def _kind(value: object) -> MediaKind:
    """Return the kind of output: FILE for an unfamiliar word, UNKNOWN without one."""
    return _KINDS.get(value.lower(), MediaKind.FILE) if isinstance(value, str) and value else MediaKind.UNKNOWN


def _tasks(value: object, secrets: tuple[str, ...]) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(redacted(text, secrets)[:100] for text in given[:20] if isinstance(text, str) and text)


def _schema(value: object) -> dict[str, Any] | None:
    """Return the schema; None if it is missing or cannot be encoded in a message."""
    if not isinstance(value, dict) or not _passable(value, MAX_SCHEMA_DEPTH):
        return None
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return None
    return value if len(text) <= MAX_SCHEMA_BYTES else None


def _passable(value: object, levels: int) -> bool:
    """Return whether a value has at most so many levels, and only numbers that a message can hold."""
    if isinstance(value, int):
        return value.bit_length() < 1000
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_passable(value, levels - 1) for value in inner)
