"""The built-in list of models, from `models.json` in this package.

It was compiled from Higgsfield's model pages, for models without a page from its older OpenAPI document and its SDKs,
and from notes of users. `sources` in the file has the title and the date of each source. The list may
be out of date, so it serves for discovery and for warnings, but no submission is refused because of it.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from gateway.catalog.model import Lifecycle, Model, Origin
from gateway.frozen import frozen
from gateway.generations.model import MediaKind


@frozen
class BuiltIn:
    """A built-in model, the title and date of its source, and its announced end in wall time.

    `gone`: the model was found gone. `note` is a text for people.
    """

    model: Model
    origin: Origin
    source: str
    source_date: str
    ends: float | None = None
    gone: bool = False
    note: str = ""

    def lifecycle(self, wall: float) -> Lifecycle:
        """Return the state of the model at a wall time, as far as the source states it."""
        if self.gone or (self.ends is not None and wall >= self.ends):
            return Lifecycle.GONE
        return Lifecycle.ACTIVE if self.ends is None else Lifecycle.DEPRECATED


@cache
def models() -> dict[str, BuiltIn]:
    """Return the models by id. The file is read at the first call."""
    content = json.loads((resources.files("gateway.catalog") / "models.json").read_text())
    return {row["id"]: _built_in(row, content["sources"][row["source"]]) for row in content["models"]}


def _built_in(row: Mapping[str, Any], source: Mapping[str, Any]) -> BuiltIn:
    ends = row.get("ends")
    return BuiltIn(
        Model(row["id"], MediaKind[row["output"].upper()], tuple(row["tasks"]), row.get("parameters")),
        Origin.COMMUNITY if source.get("community") else Origin.BUILT_IN,
        source["title"],
        source["date"],
        None if ends is None else datetime.fromisoformat(ends).replace(tzinfo=UTC).timestamp(),
        row.get("gone", False),
        row.get("note", ""),
    )
