"""The folder of a run of tests, and reading a folder in which another program adds and deletes files."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

RUN_FOLDER = "TEST_RUN_FOLDER"
"""An environment variable: the folder for the temporary files of a whole run, which removes it at its end."""


def files_below(folder: Path) -> list[Path]:
    """Return the files of all levels. Unlike `rglob`, it skips a folder that is deleted while it runs."""
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]


def contents_below(folder: Path) -> dict[str, bytes]:
    """Return what the files of all levels contain, by relative path, without files that are deleted while it runs."""
    contents = {}
    for path in files_below(folder):
        with suppress(FileNotFoundError):
            contents[str(path.relative_to(folder))] = path.read_bytes()
    return contents
