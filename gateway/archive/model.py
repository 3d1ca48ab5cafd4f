"""The values of the archive: planned copies with their keys, and archived files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.archive.media_types import SUFFIXES, type_of
from gateway.generations.model import Generation, MediaKind, Output, State
from gateway.generations.state import OUTPUTS_KEPT

LONGEST_PART = 80
"""Characters of one part of a key. Some file systems limit a name, which has several parts, to 255 bytes."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Copy:
    """A file of an output that must be copied to an archive, or with `remove` removed from it.

    `output` is the index of the output, `archive` the name of the archive. Higgsfield keeps the file until
    `expire_time`, in steady time.
    """

    generation_id: str
    output: int
    url: str = field(repr=False)
    key: str
    content_type: str
    archive: str
    expire_time: float
    attempts: int = 0
    remove: bool = False

    @property
    def name(self) -> tuple[str, int]:
        """The generation and the index of the output, which identify the copy."""
        return self.generation_id, self.output


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A copy that was verified by reading it back: its URL for callers, size in bytes, and SHA-256 in hexadecimal."""

    url: str
    size: int
    sha256: str


def copies_of(generation: Generation, archive: str) -> list[Copy]:
    """Return the copies to plan for a generation: one for each output with a file, none before it has completed."""
    if generation.state is not State.COMPLETED:
        return []
    lifetime = OUTPUTS_KEPT
    if generation.outputs_expire_time is not None and generation.end_time is not None:
        lifetime = generation.outputs_expire_time - generation.end_time
    expires = (generation.ended_at or generation.end_time or 0.0) + lifetime
    return [
        Copy(generation.id, index, output.url, key, media_type, archive, expires)
        for index, output, key, media_type in _with_files(generation)
    ]


def _with_files(generation: Generation) -> Iterator[tuple[int, Output, str, str]]:
    for index, output in enumerate(generation.outputs):
        if output.state is State.COMPLETED and output.url:
            name = output.name or (output.kind.name.lower() if output.kind is not MediaKind.UNKNOWN else "output")
            media_type = type_of(output.content_type, output.url)
            file = f"{index}-{_safe(name)}{SUFFIXES[media_type]}"
            yield index, output, f"{_safe(generation.tenant)}/{_safe(generation.id)}/{file}", media_type


def _safe(text: str) -> str:
    """Return text as one part of a key: only harmless characters, and no leading dots."""
    return _UNSAFE.sub("_", text)[:LONGEST_PART].lstrip(".") or "_"
