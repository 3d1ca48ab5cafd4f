"""Files that a tool may read: media below folders that a person has named, and nothing else of the machine."""

from collections.abc import Sequence
from pathlib import Path

from gateway.errors import Violation
from gateway.mcp.port import invalid

CONTENT_TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
    ".wav": "audio/wav", ".mp4": "video/mp4",
}  # fmt: skip
"""What may be uploaded, by the ending of its name."""


class Files:
    """The media below some folders."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder.resolve(strict=True) for folder in folders]

    @property
    def described(self) -> str:
        """The folders, for who is to name a file."""
        return " or ".join(map(str, self._folders))

    def found(self, named: str) -> tuple[Path, str]:
        """The file and its content type. What lies outside, also by way of a link, is as if it did not exist."""
        for folder in self._folders:
            try:
                file = (folder / named).resolve(strict=True)
            except (OSError, ValueError):
                continue
            if not file.is_relative_to(folder) or not file.is_file():
                continue
            content_type = CONTENT_TYPES.get(file.suffix.lower())
            if content_type is None:
                raise invalid([Violation("path", f"must end in {', '.join(CONTENT_TYPES)}")])
            return file, content_type
        raise invalid([Violation("path", f"is no file below {self.described}")])
