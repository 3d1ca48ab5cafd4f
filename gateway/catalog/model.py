"""The values of catalogs: their items, the result of reading one, and a catalog as it is stored."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from gateway.frozen import frozen
from gateway.generations.model import MediaKind

Schema = Mapping[str, Any]

MODELS, MOTIONS, SOUL_STYLES_V1, SOUL_STYLES_V2 = "models", "motions", "soul-styles/v1", "soul-styles/v2"
"""The names of catalogs."""
PRESETS = "presets/"
"""The prefix of the name of a catalog of presets; the id of the model follows."""


class Origin(IntEnum):
    """The kind of source from which a model is known; names and numbers are those of `ModelOrigin`."""

    LIVE = 1
    BUILT_IN = 2
    COMMUNITY = 3


class Lifecycle(IntEnum):
    """Whether a model can be expected to work; names and numbers are those of `ModelLifecycle`."""

    ACTIVE = 1
    DEPRECATED = 2
    GONE = 3


class Change(IntEnum):
    """What happened to a model in Higgsfield's list; names and numbers are those of `ModelChange`."""

    NEW = 1
    CHANGED = 2
    GONE = 3


@frozen
class Listing:
    """A model's place in Higgsfield's list: when it was last there, and its last change.

    `revision` numbers the changes of all models; 0 if there was none since the first list. Times are wall times.
    `details` are the differences of a change, for people.
    """

    last_seen: float
    change: Change | None = None
    changed_at: float = 0.0
    revision: int = 0
    details: tuple[str, ...] = ()

    @property
    def gone(self) -> bool:
        """Whether Higgsfield no longer lists it."""
        return self.change is Change.GONE


@frozen
class Model:
    """A model. `schema` is the JSON Schema of its parameters; None if it is not known.

    `listing` is None if Higgsfield never listed it.
    """

    id: str
    kind: MediaKind = MediaKind.UNKNOWN
    tasks: tuple[str, ...] = ()
    schema: Schema | None = None
    listing: Listing | None = None

    @property
    def has_presets(self) -> bool:
        """Whether the schema has a parameter for a preset."""
        properties = None if self.schema is None else self.schema.get("properties")
        return isinstance(properties, Mapping) and "preset_id" in properties


@frozen
class Motion:
    """A motion of the DoP models."""

    id: str
    name: str = ""
    description: str = ""
    preview_url: str = ""
    start_end_frame: bool = False


@frozen
class SoulStyle:
    """A style of Soul 1 or Soul 2."""

    id: str
    name: str = ""
    description: str = ""
    preview_url: str = ""


@frozen
class Preset:
    """A preset of one model."""

    id: str
    name: str = ""
    preview_url: str = ""


Item = Model | Motion | SoulStyle | Preset


@frozen
class Reading:
    """A catalog as fetched from Higgsfield, without duplicate ids. `skipped` items could not be read."""

    items: tuple[Item, ...]
    skipped: int = 0


@frozen
class StoredCatalog:
    """A catalog and when it was fetched: `fetched_at` in steady time, `fetch_time` in wall time."""

    items: tuple[Item, ...]
    fetched_at: float
    fetch_time: float
