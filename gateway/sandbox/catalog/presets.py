"""Motions, the styles of both Soul versions, and presets, as data: a few of each.

`preview_url` is a path here. The routes add the origin under which the client reaches the sandbox.
"""

from __future__ import annotations

import uuid
from typing import Any

Item = dict[str, Any]

_NAMESPACE = uuid.UUID("7c1f3a52-8a44-4f0e-9d0a-52f7c9d8b6e1")
_SOUL_1_GENERAL = "464ea177-8d40-4940-8d9d-b438bab269c7"
_SOUL_2_GENERAL = "3db34ab5-3439-4317-9e03-08dc30852e69"


def _id(kind: str, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{kind} {name}"))


PREVIEWS: dict[str, str] = {}
"""The title of each preview by its path: a short video for a motion, a picture for a style or a preset."""


def _preview(kind: str, name: str) -> str:
    path = f"/media/previews/{kind}/{name.lower().replace(' ', '-')}.{'webm' if kind == 'motions' else 'png'}"
    PREVIEWS[path] = name
    return path


def _motion(name: str, description: str, start_end_frame: bool = False) -> Item:
    return {
        "id": _id("motion", name),
        "name": name,
        "description": description,
        "preview_url": _preview("motions", name),
        "start_end_frame": start_end_frame,
    }


def _style(kind: str, name: str, id: str = "") -> Item:
    return {"id": id or _id(kind, name), "name": name, "description": "", "preview_url": _preview(kind, name)}


def _presets(kind: str, *names: str) -> list[Item]:
    return [{"id": _id(kind, name), "name": name, "preview_url": _preview(kind, name)} for name in names]


def with_origin(items: list[Item], origin: str) -> list[Item]:
    """Return items with absolute preview URLs."""
    return [item | {"preview_url": origin + item["preview_url"]} for item in items]


MOTIONS = [
    _motion("Zoom In", "The camera moves towards the subject."),
    _motion("Zoom Out", "The camera moves away from the subject."),
    _motion("Crash Zoom In", "A zoom that begins at once."),
    _motion("Dolly Left", "The camera glides to the left."),
    _motion("Dolly Right", "The camera glides to the right."),
    _motion("Crane Up", "The camera rises."),
    _motion("Crane Down", "The camera comes down."),
    _motion("360 Orbit", "The camera goes round the subject."),
    _motion("Handheld", "The camera is held while walking."),
    _motion("Static", "The camera does not move."),
    _motion("Morph", "The first picture becomes the last.", start_end_frame=True),
    _motion("Transition", "From the first picture to the last.", start_end_frame=True),
]
SOUL_STYLES_1 = [
    _style("soul-1", "General", _SOUL_1_GENERAL),
    *[_style("soul-1", name) for name in ("Realistic", "Tokyo Streets", "Film Noir", "90s Grain", "Quiet Luxury")],
]
SOUL_STYLES_2 = [
    _style("soul-2", "General", _SOUL_2_GENERAL),
    *[_style("soul-2", f"Look {number:02}") for number in range(1, 33)],
]
PRESETS = {
    "higgsfield/genjutsu/restyle/v1.0": _presets("restyle", "Claymation", "Comic Book", "Oil Painting", "Pixel Art"),
    "marketing-studio/image": _presets(
        "studio",
        "Product On Marble",
        "Flat Lay",
        "Neon Shelf",
        "Morning Table",
        *[f"Look {n:02}" for n in range(1, 57)],
    ),
}
"""The presets by the slug of their model."""
