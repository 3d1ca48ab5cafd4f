"""The values: what catalogs list, a catalog as it was read, and what a schema says of an input."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.generations.model import MediaKind

Schema = Mapping[str, Any]

MODELS, MOTIONS, SOUL_STYLES_V1, SOUL_STYLES_V2 = "models", "motions", "soul-styles/v1", "soul-styles/v2"
"""Names of catalogs."""
PRESETS = "presets/"
"""The name of the catalog of a model's presets begins so, and ends with the model's id."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model. `schema` None: not known."""

    id: str
    kind: MediaKind = MediaKind.UNKNOWN
    tasks: tuple[str, ...] = ()
    schema: Schema | None = None

    @property
    def name(self) -> str:
        """What it is searched and sorted by."""
        return self.id

    @property
    def has_presets(self) -> bool:
        """Whether it is known to take a preset."""
        properties = None if self.schema is None else self.schema.get("properties")
        return isinstance(properties, Mapping) and "preset_id" in properties


@dataclass(frozen=True, slots=True)
class Motion:
    """A motion of DoP."""

    id: str
    name: str = ""
    description: str = ""
    preview_url: str = ""
    start_end_frame: bool = False


@dataclass(frozen=True, slots=True)
class SoulStyle:
    """A style of one generation of Soul."""

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
    """What Higgsfield answered, each id once; `skipped` items could not be read."""

    items: tuple[Item, ...]
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """A reading and when it was made: `fetched_at` by the steady clock, `fetch_time` by the wall's."""

    items: tuple[Item, ...]
    fetched_at: float
    fetch_time: float
