"""Which media the archive takes, and what their files are called: nothing that a browser or a server would run."""

from pathlib import PurePosixPath
from urllib.parse import urlsplit

SUFFIXES = {
    "image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif", "image/avif": ".avif",
    "image/heic": ".heic", "image/tiff": ".tiff", "image/bmp": ".bmp",
    "video/mp4": ".mp4", "video/webm": ".webm", "video/quicktime": ".mov", "video/x-matroska": ".mkv",
    "audio/mpeg": ".mp3", "audio/wav": ".wav", "audio/ogg": ".ogg", "audio/mp4": ".m4a", "audio/aac": ".aac",
    "audio/flac": ".flac",
    "model/gltf-binary": ".glb",
    "application/octet-stream": ".bin",
}  # fmt: skip
"""By media type."""
UNKNOWN = "application/octet-stream"
_SAME = {
    "image/jpg": "image/jpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/mp3": "audio/mpeg",
    "binary/octet-stream": UNKNOWN, "": UNKNOWN,
}  # fmt: skip
_TYPES = {suffix: media_type for media_type, suffix in SUFFIXES.items()} | {".jpeg": "image/jpeg"}


def media_type(content_type: str) -> str | None:
    """The media type that a Content-Type names, or `UNKNOWN` if it names none; None for one that is not archived."""
    name = content_type.partition(";")[0].strip().lower()
    name = _SAME.get(name, name)
    return name if name in SUFFIXES else None


def type_of(content_type: str, url: str) -> str:
    """The media type of an output: the one it was reported with, else the one that its URL suggests, else `UNKNOWN`."""
    if content_type:
        return media_type(content_type) or UNKNOWN
    try:
        suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:  # it leads nowhere: trying to fetch it will tell
        return UNKNOWN
    return _TYPES.get(suffix, UNKNOWN)
