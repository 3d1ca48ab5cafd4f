"""The values of catalogs: their items, the result of reading one, and a catalog as it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.generations.model import MediaKind

Schema = Mapping[str, Any]

MODELS, MOTIONS, SOUL_STYLES_V1, SOUL_STYLES_V2 = "models", "motions", "soul-styles/v1", "soul-styles/v2"
"""The names of catalogs."""
PRESETS = "presets/"
"""The prefix of the name of a catalog of presets; the id of the model follows."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model. `schema` is the JSON Schema of its parameters; None if it is not known."""

    id: str
    kind: MediaKind = MediaKind.UNKNOWN
    tasks: tuple[str, ...] = ()
    schema: Schema | None = None

    @property
    def name(self) -> str:
        """The name for sorting: a model has only its id."""
        return self.id

    @property
    def has_presets(self) -> bool:
        """Whether the schema has a parameter for a preset."""
        properties = None if self.schema is None else self.schema.get("properties")
        return isinstance(properties, Mapping) and "preset_id" in properties


@dataclass(frozen=True, slots=True)
class Motion:
    """A motion of the DoP models."""

    id: str
    name: str = ""
    description: str = ""
    preview_url: str = ""
    start_end_frame: bool = False


@dataclass(frozen=True, slots=True)
class SoulStyle:
    """A style of Soul 1 or Soul 2."""

    id: str
    name: str = ""
    description: str = ""
    preview_url: str = ""


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset of one model."""

    id: str
    name: str = ""
    preview_url: str = ""


Item = Model | Motion | SoulStyle | Preset


@dataclass(frozen=True, slots=True)
class Reading:
    """A catalog as fetched from Higgsfield, without duplicate ids. `skipped` items could not be read."""

    items: tuple[Item, ...]
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class StoredCatalog:
    """A catalog and when it was fetched: `fetched_at` in steady time, `fetch_time` in wall time."""

    items: tuple[Item, ...]
    fetched_at: float
    fetch_time: float
