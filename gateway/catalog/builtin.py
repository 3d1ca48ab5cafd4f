"""The models that this version of the gateway knows of by itself, from `models.json` beside this module.

Made of Higgsfield's model pages of 2026-10-02 and, for models that have no page there, of its older OpenAPI document
(upstream.md 2.7); each entry's `source` says which. It is out of date as soon as Higgsfield changes anything: good for
finding one's way, not for refusing.
"""

import json
from functools import cache
from importlib import resources

from gateway.catalog.model import Model
from gateway.generations.model import MediaKind


@cache
def models() -> dict[str, Model]:
    """The models by id, read when they are first asked for."""
    content = json.loads((resources.files("gateway.catalog") / "models.json").read_text())
    return {
        one["id"]: Model(one["id"], MediaKind[one["output"].upper()], tuple(one["tasks"]), one["parameters"])
        for one in content["models"]
    }
