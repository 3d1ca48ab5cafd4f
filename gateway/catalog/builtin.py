"""The built-in list of models, from `models.json` in this package.

It was compiled from Higgsfield's model pages of 2026-10-02 and, for models without a page, from its older OpenAPI
document (upstream.md 2.7); the `source` of an entry says which. It may be out of date, so it serves for discovery and
for warnings, but no submission is refused because of it.
"""

import json
from functools import cache
from importlib import resources

from gateway.catalog.model import Model
from gateway.generations.model import MediaKind


@cache
def models() -> dict[str, Model]:
    """Return the models by id. The file is read at the first call."""
    content = json.loads((resources.files("gateway.catalog") / "models.json").read_text())
    return {
        one["id"]: Model(one["id"], MediaKind[one["output"].upper()], tuple(one["tasks"]), one["parameters"])
        for one in content["models"]
    }
