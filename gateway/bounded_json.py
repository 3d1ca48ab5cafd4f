"""Bounds the JSON that is kept of Higgsfield's responses, and names what is left out: docs/translation.md."""

import json
from typing import Any

MAX_KEPT_BYTES = 64 * 1024
"""The most bytes of JSON that are kept of a response."""
MAX_KEPT_ERROR_BYTES = 16 * 1024
"""The most bytes of JSON that are kept of a response with an error status."""
LEFT_OUT = "[left out]"
MAX_NAME_LENGTH = 100
"""The most characters of the name of a member that was left out."""


def bounded(content: dict[str, Any] | None, max_bytes: int = MAX_KEPT_BYTES) -> dict[str, Any] | None:
    """Return an object of at most so many bytes of JSON, without its largest members if it is larger.

    Their names and sizes are in the member LEFT_OUT.
    """
    if content is None or _size(content) <= max_bytes:
        return content
    earlier = content.get(LEFT_OUT)  # named by an earlier, larger limit; or a member of the response with this name
    missing = {name: size for name, size in earlier.items() if type(size) is int} if isinstance(earlier, dict) else {}
    sizes = {name: _size({name: item}) for name, item in content.items() if name != LEFT_OUT}
    kept: dict[str, Any] = {}
    named: dict[str, int] = {}
    room, room_for_names = max_bytes * 3 // 4, max_bytes // 4 - _size({LEFT_OUT: {}})
    for name in sorted(sizes, key=sizes.__getitem__):
        room -= sizes[name]
        if room >= 0:
            kept[name] = content[name]
        else:
            missing[name] = sizes[name]
    for name in sorted(missing, key=missing.__getitem__, reverse=True):
        room_for_names -= _size({name[:MAX_NAME_LENGTH]: missing[name]})
        if room_for_names >= 0:
            named[name[:MAX_NAME_LENGTH]] = missing[name]
    return kept | {LEFT_OUT: named}


def bounded_value(value: Any, max_bytes: int) -> Any:
    """Return a value of at most so many bytes of JSON; None for a larger one that is no object."""
    if isinstance(value, dict):
        return bounded(value, max_bytes)
    return value if _size(value) <= max_bytes else None


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
