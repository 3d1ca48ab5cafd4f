"""The values of the archive: a file to be copied, a copy that was made, and where in the archive it lies."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.archive.media_types import SUFFIXES, type_of
from gateway.generations.model import Generation, MediaKind, Output, State
from gateway.generations.state import OUTPUTS_KEPT

LONGEST_PART = 80
"""Characters of one part of a key: some file systems end at 255 bytes for the whole of a name."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Copy:
    """One output file that is to be copied to an archive, or to be removed from it.

    `output` is its index among the outputs; `archive` names the archive that it belongs to. `expire_time` is the steady
    time until which Higgsfield keeps the file.
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
        """Which file it is."""
        return self.generation_id, self.output


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A copy that was read again after it was written: its size in bytes and its SHA-256, in hexadecimal."""

    url: str
    size: int
    sha256: str


def copies_of(generation: Generation, archive: str) -> list[Copy]:
    """What there is to copy of a generation: nothing before its end, then each output that has a file."""
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
    """One part of a key: plain characters, and none that would lead elsewhere."""
    return _UNSAFE.sub("_", text)[:LONGEST_PART].lstrip(".") or "_"
