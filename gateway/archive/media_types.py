"""The media types that the archive accepts, and their file suffixes: none that a browser or a server would execute."""

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
"""The suffix of each media type."""
UNKNOWN = "application/octet-stream"
_ALIASES = {
    "image/jpg": "image/jpeg", "audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/mp3": "audio/mpeg",
    "binary/octet-stream": UNKNOWN, "": UNKNOWN,
}  # fmt: skip
_PAGES = frozenset({"application/json", "application/xml", "application/xhtml+xml"})
"""With all text, the media types of an error page that a host sends instead of the file."""
_TYPES = {suffix: media_type for media_type, suffix in SUFFIXES.items()} | {".jpeg": "image/jpeg"}


def is_archived(content_type: str, planned: str) -> bool:
    """Return whether a file with this Content-Type is archived under a planned media type.

    Under UNKNOWN, all types are, for example a zip, except those of error pages.
    """
    name = _name(content_type)
    return name in SUFFIXES or (planned == UNKNOWN and name not in _PAGES and not name.startswith("text/"))


def type_of(content_type: str, url: str) -> str:
    """Return the media type of an output: the reported one, else the one of its URL's suffix, else UNKNOWN."""
    if content_type:
        name = _name(content_type)
        return name if name in SUFFIXES else UNKNOWN
    try:
        suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:  # an invalid URL, which will fail when it is fetched
        return UNKNOWN
    return _TYPES.get(suffix, UNKNOWN)


def _name(content_type: str) -> str:
    name = content_type.partition(";")[0].strip().lower()
    return _ALIASES.get(name, name)
