"""The use cases of catalogs: list them, and validate the parameters of a submission against its model's schema."""

from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

from gateway.catalog.cached import CachedCatalog
from gateway.catalog.merged import Entry, Models
from gateway.catalog.model import (
    MODELS,
    MOTIONS,
    PRESETS,
    SOUL_STYLES_V1,
    SOUL_STYLES_V2,
    Lifecycle,
    Motion,
    Preset,
    SoulStyle,
    StoredCatalog,
)
from gateway.catalog.ports import CatalogSource, CatalogStore
from gateway.catalog.watch import ModelWatches, next_models
from gateway.errors import Violation
from gateway.frozen import frozen
from gateway.generations.inputs import Input, ModelInput
from gateway.generations.model import MediaKind
from gateway.generations.ports import Clock, InputCheckResult

SCHEMA_REFUSES_FOR = 86_400.0
"""Seconds after its fetch during which Higgsfield's schema refuses inputs; an older or built-in one only warns."""
MODEL_FIELD = "input.model.model_id"
NO_VIOLATIONS = InputCheckResult()
_T = TypeVar("_T", Motion, SoulStyle, Preset)


@frozen
class Listed(Generic[_T]):
    """The sorted items of a catalog, and the wall time of their fetch; None if they were never fetched."""

    items: Sequence[_T]
    fetch_time: float | None


class Catalogs:
    """All catalogs. They are the same for all tenants.

    `timeout` is the number of seconds for which a call waits if the catalog was never fetched; otherwise no call
    waits. Motions, styles and presets raise UPSTREAM_UNAVAILABLE if there is no catalog.
    """

    def __init__(self, source: CatalogSource, store: CatalogStore, clock: Clock) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._cached: dict[str, CachedCatalog] = {}
        self._models: Models | None = None
        models = CachedCatalog(MODELS, source, store, clock, next_models)
        self._cached[MODELS] = models
        self.watches = ModelWatches(models, clock)

    @property
    def wall(self) -> float:
        """The wall time, on which the lifecycle of models depends."""
        return self._clock.moment().wall

    def wake_all(self) -> None:
        """Wake every watch, so that it checks whether it may continue."""
        self._catalog(MODELS).wake()

    def drain(self) -> None:
        """End the watches."""
        self.watches.drain()

    async def models(self, timeout: float) -> Models:
        """Return all models: Higgsfield's and the built-in ones. Always succeeds."""
        return self._merged(await self._catalog(MODELS).current_or_wait(timeout))

    async def motions(self, timeout: float) -> Listed[Motion]:
        """Return the motions of the DoP models."""
        return await self._listed(MOTIONS, Motion, timeout)

    async def soul_styles(self, timeout: float, *, soul_2: bool) -> Listed[SoulStyle]:
        """Return the styles of Soul 1, or with `soul_2` those of Soul 2."""
        return await self._listed(SOUL_STYLES_V2 if soul_2 else SOUL_STYLES_V1, SoulStyle, timeout)

    async def presets(self, model_id: str, timeout: float) -> Listed[Preset]:
        """Return the presets of a model, empty for a model without presets. Raises also MODEL_UNKNOWN."""
        if not (await self.models(timeout)).get(model_id).model.has_presets:
            return Listed((), None)
        return await self._listed(PRESETS + model_id, Preset, timeout)

    async def check(self, given: Input) -> InputCheckResult:
        """Validate an input against the current schema of its model, without waiting for Higgsfield."""
        if not isinstance(given, ModelInput) or given.api == "v1":
            return NO_VIOLATIONS  # the schemas are those of v2
        fetched = await self._catalog(MODELS).current()
        entry = self._merged(fetched).by_id.get(given.model_id)
        if entry is None:
            return NO_VIOLATIONS
        violations, moment = entry.violations(given.parameters), self._clock.moment()
        lifecycle_warnings = _lifecycle_warnings(entry, moment.wall)
        fresh = fetched is not None and moment.steady - fetched.fetched_at <= SCHEMA_REFUSES_FOR
        if entry.schema_from_upstream and fresh:
            return InputCheckResult(violations=violations, warnings=lifecycle_warnings)
        return InputCheckResult(warnings=lifecycle_warnings + violations)

    def kind(self, model_id: str) -> MediaKind:
        """Return the kind of a model's outputs by the models that are in memory; UNKNOWN for an unknown model."""
        entry = (self._models or self._merged(None)).by_id.get(model_id)
        return MediaKind.UNKNOWN if entry is None else entry.model.kind

    @property
    def cached(self) -> Collection[CachedCatalog]:
        """The catalogs that were used."""
        return self._cached.values()

    async def aclose(self) -> None:
        """Cancel the refreshes that are running."""
        for cached in self._cached.values():
            await cached.close()

    async def _listed(self, name: str, kind: type[_T], timeout: float) -> Listed[_T]:
        catalog = self._catalog(name)
        fetched = await catalog.current_or_wait(timeout)
        if fetched is None:
            raise catalog.unavailable()
        items = [item for item in fetched.items if isinstance(item, kind)]
        return Listed(sorted(items, key=lambda one: (one.name.casefold(), one.id)), fetched.fetch_time)

    def _catalog(self, name: str) -> CachedCatalog:
        if name not in self._cached:
            self._cached[name] = CachedCatalog(name, self._source, self._store, self._clock)
        return self._cached[name]

    def _merged(self, fetched: StoredCatalog | None) -> Models:
        if self._models is None or self._models.fetched is not fetched:
            self._models = Models.merged(fetched)
        return self._models


def _lifecycle_warnings(entry: Entry, wall: float) -> tuple[Violation, ...]:
    """Return the warning for a model that is gone or has an announced end."""
    lifecycle = entry.lifecycle(wall)
    if lifecycle is Lifecycle.ACTIVE:
        return ()
    text = "is probably gone" if lifecycle is Lifecycle.GONE else "will end"
    note = "" if entry.built_in is None else entry.built_in.note
    return (Violation(MODEL_FIELD, f"{text}: {note}" if note else f"{text}: Higgsfield no longer lists it"),)
