"""The use cases: list, get, and hold a submission's parameters against its model's schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.catalog.cached import Cached
from gateway.catalog.merged import Models
from gateway.catalog.model import (
    MODELS,
    MOTIONS,
    PRESETS,
    SOUL_STYLES_V1,
    SOUL_STYLES_V2,
    Item,
    Kept,
    Motion,
    Preset,
    SoulStyle,
)
from gateway.catalog.ports import Shelf, Source
from gateway.generations.inputs import Input, ModelInput
from gateway.generations.ports import Checked, Clock

REFUSES_FOR = 86_400.0
"""Seconds after it was fetched in which a schema of this account refuses inputs; an older one only warns."""
NOTHING = Checked()
_T = TypeVar("_T", bound=Item)


@dataclass(frozen=True, slots=True)
class Listed(Generic[_T]):
    """A whole catalog in the order in which it is paged, and when Higgsfield told it (wall time; None: never)."""

    items: Sequence[_T]
    fetch_time: float | None


class Catalogs:
    """Everything that Higgsfield offers, the same for all tenants. Raises GatewayError.

    `patience` is how many seconds a caller waits for what Higgsfield was never asked before. Afterwards nobody waits.
    """

    def __init__(self, source: Source, shelf: Shelf, clock: Clock) -> None:
        self._source = source
        self._shelf = shelf
        self._clock = clock
        self._cached: dict[str, Cached] = {}
        self._models: Models | None = None

    async def models(self, patience: float) -> Models:
        """All models: Higgsfield's and the built-in ones."""
        return self._merged(await self._catalog(MODELS).soon(patience))

    async def motions(self, patience: float) -> Listed[Motion]:
        """The motions of DoP."""
        return await self._listed(MOTIONS, Motion, patience)

    async def soul_styles(self, patience: float, *, second: bool) -> Listed[SoulStyle]:
        """The styles of Soul 1, or of Soul 2."""
        return await self._listed(SOUL_STYLES_V2 if second else SOUL_STYLES_V1, SoulStyle, patience)

    async def presets(self, model_id: str, patience: float) -> Listed[Preset]:
        """The presets of a model; none for one that takes none. Raises MODEL_UNKNOWN."""
        if not (await self.models(patience)).get(model_id).model.has_presets:
            return Listed((), None)
        return await self._listed(PRESETS + model_id, Preset, patience)

    async def check(self, given: Input) -> Checked:
        """What its model's schema finds wrong with an input, by what is known now: Higgsfield is not waited for."""
        if not isinstance(given, ModelInput):
            return NOTHING
        kept = await self._catalog(MODELS).now()
        entry = self._merged(kept).by_id.get(given.model_id)
        wrong = () if entry is None else entry.violations(given.parameters)
        if entry is None or not wrong:
            return NOTHING
        fresh = kept is not None and self._clock.moment().steady - kept.fetched_at <= REFUSES_FOR
        return Checked(refused=wrong) if entry.schema_told and fresh else Checked(doubted=wrong)

    def counted(self, what: str) -> int:
        """The sum of a counter over all catalogs: attempts, failures or skipped."""
        return sum(getattr(cached, what) for cached in self._cached.values())

    async def close(self) -> None:
        """End what is under way."""
        for cached in self._cached.values():
            await cached.close()

    async def _listed(self, name: str, kind: type[_T], patience: float) -> Listed[_T]:
        catalog = self._catalog(name)
        kept = await catalog.soon(patience)
        if kept is None:
            raise catalog.away()
        items = [one for one in kept.items if isinstance(one, kind)]
        return Listed(sorted(items, key=lambda one: (one.name.casefold(), one.id)), kept.fetch_time)

    def _catalog(self, name: str) -> Cached:
        if name not in self._cached:
            self._cached[name] = Cached(name, self._source, self._shelf, self._clock)
        return self._cached[name]

    def _merged(self, kept: Kept | None) -> Models:
        if self._models is None or self._models.kept is not kept:
            self._models = Models.merged(kept)
        return self._models
