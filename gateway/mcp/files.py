"""The files that a tool may read: media below the folders that the user has named, and no others."""

import os
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import Violation
from gateway.mcp.port import invalid

CONTENT_TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
    ".wav": "audio/wav", ".mp4": "video/mp4",
}  # fmt: skip
"""Content types by suffix. Other files are not uploaded."""


class Files:
    """Finds media below some folders."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder.resolve(strict=True) for folder in folders]

    @property
    def description(self) -> str:
        """The folders, as text."""
        return " or ".join(map(str, self._folders))

    def find(self, named: str) -> tuple[Path, str]:
        """Return a file and its content type.

        Raises RefusedError if there is no such file below the folders, or if it cannot be read. A file outside them,
        even behind a link, is reported like one that does not exist.
        """
        for folder in self._folders:
            try:
                file = (folder / named).resolve(strict=True)
            except (OSError, ValueError, RuntimeError):  # before Python 3.13, a loop of links is a RuntimeError
                continue
            if not file.is_relative_to(folder) or not file.is_file():
                continue
            content_type = CONTENT_TYPES.get(file.suffix.lower())
            if content_type is None:
                raise invalid([Violation("path", f"must end in {', '.join(CONTENT_TYPES)}")])
            if not os.access(file, os.R_OK):
                raise invalid([Violation("path", "cannot be read")])
            return file, content_type
        raise invalid([Violation("path", f"is not a file below {self.description}")])
