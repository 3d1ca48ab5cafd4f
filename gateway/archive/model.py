"""The values of the archive: a file to be copied, a copy that was made, and where in the archive it lies."""

import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from gateway.generations.model import Generation, MediaKind, Output, State
from gateway.generations.state import OUTPUTS_KEPT

LONGEST_PART = 80
"""Characters of one part of a key: some file systems end at 255 bytes for the whole of a name."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class Copy:
    """One output file that is to be copied to an archive, or to be removed from it.

    `output` is its place among the outputs, from 0; `archive` names the archive that it belongs to. `expire_time` is
    wall time: until when Higgsfield keeps the file.
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
    expire_time = generation.outputs_expire_time or (generation.end_time or 0.0) + OUTPUTS_KEPT
    return [
        Copy(generation.id, index, output.url, key, output.content_type, archive, expire_time)
        for index, output, key in _with_files(generation)
    ]


def _with_files(generation: Generation) -> Iterator[tuple[int, Output, str]]:
    for index, output in enumerate(generation.outputs):
        if output.state is State.COMPLETED and output.url:
            name = output.name or (output.kind.name.lower() if output.kind is not MediaKind.UNKNOWN else "output")
            file = f"{index}-{_safe(name)}{_suffix(output)}"
            yield index, output, f"{_safe(generation.tenant)}/{_safe(generation.id)}/{file}"


def _safe(text: str) -> str:
    """One part of a key: plain characters, and none that would lead elsewhere."""
    return _UNSAFE.sub("_", text)[:LONGEST_PART].lstrip(".") or "_"


def _suffix(output: Output) -> str:
    try:
        suffix = PurePosixPath(urlsplit(output.url).path).suffix.lower()
    except ValueError:  # it leads nowhere: trying to fetch it will tell
        suffix = ""
    if _SUFFIX.fullmatch(suffix):
        return suffix
    return mimetypes.guess_extension(output.content_type.partition(";")[0].strip()) or ".bin"
