"""Models of both sources as one list: what Higgsfield tells of a model goes before what the built-in list says."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gateway.catalog import builtin
from gateway.catalog.model import Kept, Model
from gateway.catalog.sanitize import TooLargeError
from gateway.errors import Failure, GatewayError, Reason, Violation, printable
from gateway.generations.model import MediaKind

if TYPE_CHECKING:  # its validator takes a while to import
    from gateway.catalog.validate import Checker

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """A model, whether Higgsfield told of it, and of its schema."""

    model: Model
    told: bool
    schema_told: bool
    _checker: "Checker | None" = None
    _unusable: bool = False

    def violations(self, parameters: Mapping[str, Any]) -> tuple[Violation, ...]:
        """What its schema finds wrong; nothing where there is none, or none that can be used."""
        if self._checker is None and self.model.schema is not None and not self._unusable:
            from gateway.catalog.validate import Checker

            try:
                self._checker = Checker(self.model.schema)
            except (TooLargeError, RecursionError):
                self._unusable = True
                log.warning("a model's schema is too large to be used", extra={"model_id": self.model.id})
        return () if self._checker is None else self._checker.violations(parameters)


@dataclass(frozen=True)
class Models:
    """All models by id, in the order of ids. `kept` None: only the built-in ones."""

    kept: Kept | None
    by_id: dict[str, Entry] = field(repr=False)

    def get(self, model_id: str) -> Entry:
        """One model. Raises MODEL_UNKNOWN, which does not say that it cannot be called."""
        entry = self.by_id.get(model_id)
        if entry is None:
            message = "no such model is known; Higgsfield may have it all the same"
            raise GatewayError(Failure(Reason.MODEL_UNKNOWN, message, metadata={"model_id": printable(model_id, 200)}))
        return entry

    @classmethod
    def merged(cls, kept: Kept | None) -> "Models":
        """Those that Higgsfield told, and those that it leaves out and that can be called all the same."""
        known = builtin.models()
        told = [] if kept is None else [one for one in kept.items if isinstance(one, Model)]
        found = {one.id: Entry(one, told=False, schema_told=False) for one in known.values()}
        for one in told:
            found[one.id] = Entry(_completed(one, known.get(one.id)), told=True, schema_told=one.schema is not None)
        return cls(kept, dict(sorted(found.items())))


def _completed(told: Model, known: Model | None) -> Model:
    """What Higgsfield did not say of a model, from the built-in list."""
    if known is None:
        return told
    return replace(
        told,
        kind=known.kind if told.kind is MediaKind.UNKNOWN else told.kind,
        tasks=told.tasks or known.tasks,
        schema=known.schema if told.schema is None else told.schema,
    )
