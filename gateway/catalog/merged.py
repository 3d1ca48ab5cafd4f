"""Merges Higgsfield's list of models with the built-in one. Higgsfield's data takes precedence."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gateway.catalog import builtin
from gateway.catalog.builtin import BuiltIn
from gateway.catalog.model import Lifecycle, Model, Origin, StoredCatalog
from gateway.catalog.sanitize import TooLargeError
from gateway.errors import Failure, GatewayError, Reason, Violation, printable
from gateway.generations.model import MediaKind

if TYPE_CHECKING:  # importing jsonschema-rs is slow
    from gateway.catalog.validate import SchemaValidator

log = logging.getLogger(__name__)


@dataclass
class Entry:
    """A model, its built-in entry if there is one, and whether its schema comes from Higgsfield's present list."""

    model: Model
    built_in: BuiltIn | None = None
    schema_from_upstream: bool = False

    @property
    def origin(self) -> Origin:
        """The best source for the model."""
        if self.model.listing is not None or self.built_in is None:
            return Origin.LIVE
        return self.built_in.origin

    def lifecycle(self, wall: float) -> Lifecycle:
        """Return the state of the model at a wall time. Higgsfield's list is better evidence than the built-in one."""
        listing = self.model.listing
        if listing is None:
            return Lifecycle.ACTIVE if self.built_in is None else self.built_in.lifecycle(wall)
        if listing.gone:
            return Lifecycle.GONE
        ends = self.built_in is not None and self.built_in.ends is not None
        return Lifecycle.DEPRECATED if ends else Lifecycle.ACTIVE

    def violations(self, parameters: Mapping[str, Any]) -> tuple[Violation, ...]:
        """Validate parameters against the schema. Without a usable schema there are no violations."""
        return () if self._validator is None else self._validator.violations(parameters)

    @cached_property
    def _validator(self) -> "SchemaValidator | None":
        """The compiled schema; None without a usable one."""
        if self.model.schema is None:
            return None
        from gateway.catalog.validate import SchemaValidator

        try:
            return SchemaValidator(self.model.schema)
        except (TooLargeError, RecursionError):
            log.warning("a model's schema is too large to be used", extra={"model_id": self.model.id})
        except ValueError:  # the library refuses what the sanitizer should have removed: submissions must not fail
            log.exception("a model's schema cannot be used", extra={"model_id": self.model.id})
        return None


@dataclass(frozen=True)
class Models:
    """All models by id, in the order of ids. `fetched` is Higgsfield's list; None if there are only built-in models."""

    fetched: StoredCatalog | None
    by_id: dict[str, Entry] = field(repr=False)

    def get(self, model_id: str) -> Entry:
        """Return a model. Raises MODEL_UNKNOWN, although Higgsfield may still accept the id."""
        entry = self.by_id.get(model_id)
        if entry is None:
            message = "the gateway does not know this model; Higgsfield may still have it"
            raise GatewayError(Failure(Reason.MODEL_UNKNOWN, message, metadata={"model_id": printable(model_id, 200)}))
        return entry

    @classmethod
    def merged(cls, fetched: StoredCatalog | None) -> "Models":
        """Merge Higgsfield's models with the built-in ones, which can be called even if Higgsfield omits them."""
        known = builtin.models()
        entries = {merged.model.id: Entry(merged.model, merged) for merged in known.values()}
        for item in () if fetched is None else fetched.items:
            if isinstance(item, Model):
                built_in = known.get(item.id)
                listed = item.schema is not None and not (item.listing is not None and item.listing.gone)
                model = _complete(item, None if built_in is None else built_in.model)
                entries[item.id] = Entry(model, built_in, schema_from_upstream=listed)
        return cls(fetched, dict(sorted(entries.items())))


def _complete(fetched: Model, known: Model | None) -> Model:
    """Fill in what Higgsfield's entry lacks from the built-in one."""
    if known is None:
        return fetched
    return replace(
        fetched,
        kind=known.kind if fetched.kind is MediaKind.UNKNOWN else fetched.kind,
        tasks=fetched.tasks or known.tasks,
        schema=known.schema if fetched.schema is None else fetched.schema,
    )
