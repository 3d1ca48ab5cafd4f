"""Recorded responses of Higgsfield, and mutations of them.

A mutation is drawn from a seed, so that a case can be reproduced by its number. Most change values of the JSON, some
its text, some the bytes.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

ID = "d7e6c0f3-6699-4f6c-bb45-2ad7fd9158ff"
_URL = f"https://api.higgsfield.ai/requests/{ID}"
_LINKS = {"request_id": ID, "status_url": f"{_URL}/status", "cancel_url": f"{_URL}/cancel"}
_FILE = "https://cdn.example.invalid/1"
_DONE = {"status": "completed", **_LINKS, "expires_at": "2026-11-27T09:00:00Z"}

RECORDED: tuple[tuple[int, Any], ...] = (
    (200, {"status": "queued", **_LINKS}),
    (200, {"status": "in_progress", **_LINKS}),
    (200, _DONE | {"images": [{"url": f"{_FILE}.png"}, {"url": f"{_FILE}-2.png"}]}),
    (200, _DONE | {"video": {"url": f"{_FILE}.mp4", "content_type": "video/mp4"}, "seed": 7}),
    (200, _DONE | {"audios": [{"url": f"{_FILE}.wav"}], "usage": {"seconds": 1.5, "parts": [1, 2, None]}}),
    (200, _DONE | {"zip": {"url": f"{_FILE}.zip"}, "text": "a caption"}),
    (200, {"status": "failed", **_LINKS, "error": f"could not fetch {_FILE}.png?X-Amz-Signature=abcdef"}),
    (200, {"status": "nsfw", **_LINKS, "error": None}),
    (200, {"status": "canceled", **_LINKS}),
    (200, {"request_id": ID, "status": "completed", "error": None, "payload": {"images": [{"url": f"{_FILE}.png"}]}}),
    (200, {"type": "estimate", "credits": "0.050", "usd": "0.004"}),
    (200, {"type": "description", "pricing_description": "0.1 credits for each second"}),
    (400, {"detail": "Maximum number of concurrent requests (4) has been reached"}),
    (400, {"detail": "'prompt' is a required property"}),
    (401, {"detail": "Invalid credentials"}),
    (403, {"detail": "not_enough_credits"}),
    (404, {"detail": "Not found"}),
    (422, {"detail": [{"type": "missing", "loc": ["body", "prompt"], "msg": "Field required", "input": {"a": 1}}]}),
    (429, {"code": "account_queue_full", "detail": "The queue is full", "limit": 20}),
    (503, {"detail": "Service Unavailable"}),
    (502, "<html><body>502 Bad Gateway</body></html>"),
)
STATUSES = (
    200, 200, 200, 201, 202, 204, 299, 302, 400, 401, 402, 403, 404,
    405, 408, 418, 422, 423, 429, 500, 502, 504,
)  # fmt: skip
CONTENT_TYPES = (
    "application/json",
    "application/json; charset=utf-8",
    "text/html",
    "",
    "application/octet-stream",
    "ü",
)


@dataclass(frozen=True)
class Case:
    """One response."""

    status: int
    content_type: str
    body: bytes


def case(seed: int, recorded: Sequence[tuple[int, Any]] = RECORDED) -> Case:
    """Return the response for a seed."""
    source = random.Random(seed)
    status, content = source.choice(recorded)
    content = copy.deepcopy(content)
    for _ in range(source.choice((1, 1, 2, 3))):
        content = _changed(content, source)
    text = _written(content, source)
    if source.random() < 0.2:
        status = source.choice(STATUSES)
    content_type = source.choice(CONTENT_TYPES) if source.random() < 0.1 else "application/json"
    body = text.encode("utf-8", "surrogatepass")
    return Case(status, content_type, _damaged(body, source) if source.random() < 0.2 else body)


def _changed(content: Any, source: random.Random) -> Any:
    """Return the content with one random change."""
    places = list(_places(content))
    if not places:
        return _odd(source)
    container, key = source.choice(places)
    change: Callable[[], Any] = source.choice((
        lambda: container.__setitem__(key, _odd(source)),
        lambda: container.__setitem__(key, _odd(source, _KINDS.get(key))),
        lambda: container.__setitem__(key, _odd(source, _KINDS.get(key))),
        lambda: container.__delitem__(key),
        lambda: container.__setitem__(key, [container[key]]),
        lambda: container.__setitem__(key, {"": container[key]}),
        lambda: _put(container, source, container[key]),
        lambda: _put(container, source, _odd(source)),
    ))  # fmt: skip
    change()
    return [content] if source.random() < 0.02 else content


def _places(content: Any) -> Any:
    keys = content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in list(keys):
        yield content, key
        yield from _places(content[key])


def _put(container: Any, source: random.Random, value: Any) -> None:
    """Add a copy of a value, under a known or an unknown name."""
    if isinstance(container, list):
        container.append(copy.deepcopy(value))
    else:
        container[source.choice((*_NAMES, str(_odd(source))[:200]))] = copy.deepcopy(value)


_NAMES = (
    "status", "request_id", "images", "image", "video", "videos", "audio", "mov", "fbx", "error", "expires_at",
    "detail", "code", "payload", "url", "content_type", "loc", "msg", "credits", "usd", "state", "id", "__class__",
)  # fmt: skip


_KINDS = {"url": 7, "expires_at": 8, "request_id": 9, "status": 10}
"""The kind of odd value for some fields."""


def _odd(source: random.Random, kind: int | None = None) -> Any:
    """Return an unexpected value, of this kind or of any kind."""
    kind = source.randrange(12) if kind is None else kind
    if kind == 0:
        return source.choice((None, True, False, [], {}, "", 0, -1, "0", "null"))
    if kind == 1:
        return source.choice((1e308, -1e308, 1e-320, float("nan"), float("inf"), -0.0, 2**63, -(2**64), 10**400))
    if kind == 2:
        return source.choice(("\0", "\ud800", "\udfff\ud800", "\u202e", "\ufeff", "\x1b[31m", "😀" * 50, "a\r\nb: c"))
    if kind == 3:
        return f"{_NEST}{source.choice((5, 30, 90, 200, 400, 480, 700, 990, 2_000))}.{source.randrange(3)}"
    if kind == 4:
        return source.choice(("x", "é", "http://", "key ", "\u0000")) * source.choice((101, 501, 3_000))
    if kind == 5:
        return [_odd(source) for _ in range(source.randrange(4))]
    if kind == 6:
        return {str(_odd(source))[:50]: _odd(source) for _ in range(source.randrange(4))}
    if kind == 7:
        return source.choice((
            "javascript:alert(1)", "file:///etc/passwd", "https://", "http://a\nb", "//evil.invalid", "https://a b",
            "HTTPS://CDN.INVALID/x", "data:text/html,x", "https://user:secret@cdn.invalid/", "https://\u2603.invalid/",
        ))  # fmt: skip
    if kind == 8:
        return source.choice((
            "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30", "now", "1e18", 253402300800, -1,
        ))  # fmt: skip
    if kind == 9:
        return source.choice(
            ("00000000-0000-0000-0000-000000000000", ID.upper(), "{" + ID + "}", "urn:uuid:" + ID, ID[:-1])
        )
    if kind == 10:
        return source.choice(
            ("paused", "COMPLETED", " completed", "cancelled", "completed\0", "queued", "nsfw", "failed")
        )
    return copy.deepcopy(source.choice(RECORDED)[1])


_NEST = "nested to this depth: "
"""Placeholder of a value that is too deep for Python's JSON encoder; it is replaced in the text."""


def _nested(match: re.Match[str]) -> str:
    depth, kind = int(match[1]), int(match[2])
    begin, end = (("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"))[kind]
    return begin * depth + "1" + end * depth


def _written(content: Any, source: random.Random) -> str:
    """Return the content as text, sometimes in an unusual but valid form of JSON."""
    if isinstance(content, str):
        return content
    text = re.sub(rf'"{_NEST}(\d+)\.(\d)"', _nested, json.dumps(content, ensure_ascii=source.random() < 0.5))
    odd = source.randrange(20)
    if odd == 0:
        return text.replace('"status"', '"\\u0073tatus"')
    if odd == 1 and text.startswith("{"):
        return '{"status": "queued", "request_id": "twice", ' + text[1:]
    if odd == 2:
        return f"\ufeff{text}"
    if odd == 3:
        return f"{text} trailing"
    if odd == 4:
        return " \r\n\t" * 100 + text
    return text


def _damaged(body: bytes, source: random.Random) -> bytes:
    """Return the bytes with a part removed, added, flipped or repeated."""
    if not body:
        return b"\xff"
    at = source.randrange(len(body))
    match source.randrange(5):
        case 0:
            return body[:at]
        case 1:
            return body[at:]
        case 2:
            return body[:at] + bytes((body[at] ^ 1 << source.randrange(8),)) + body[at + 1 :]
        case 3:
            return body[:at] + source.randbytes(source.randrange(1, 8)) + body[at:]
        case _:
            return body + body
