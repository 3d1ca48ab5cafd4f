"""The values of the archive: planned copies with their keys, and archived files."""

import re
from collections.abc import Iterator
from dataclasses import field
from typing import NamedTuple

from gateway.archive.media_types import SUFFIXES, type_of
from gateway.frozen import frozen
from gateway.generations.model import Generation, MediaKind, Output, State
from gateway.generations.state import OUTPUTS_KEPT

MAX_NAME_LENGTH = 80
"""Characters of an output's name in a key. Some file systems limit a file name, which may be a whole key, to 255."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Part(NamedTuple):
    """The file of an output, or with `preview` its preview. `output` is the index of the output."""

    output: int
    preview: bool = False


@frozen
class Copy:
    """A file of an output that must be copied to an archive, or with `remove` removed from it.

    `archive` is the name of the archive. Higgsfield keeps the file until `expire_time`, in steady time.
    """

    generation_id: str
    part: Part
    url: str = field(repr=False)
    key: str
    content_type: str
    archive: str
    expire_time: float
    attempts: int = 0
    remove: bool = False

    @property
    def name(self) -> tuple[str, Part]:
        """The generation and the part of its outputs, which identify the copy."""
        return self.generation_id, self.part

    @property
    def tenant(self) -> str:
        """The tenant, whose name begins the key."""
        return self.key.partition("/")[0]

    @property
    def fields(self) -> dict[str, object]:
        """The values of `name` by the names that rows and log lines use."""
        return {"generation_id": self.generation_id, **self.part._asdict()}


@frozen
class ArchivedFile:
    """A copy that was verified by reading it back: its URL for callers, size in bytes, and SHA-256 in hexadecimal."""

    url: str
    size: int
    sha256: str


def copies_of(generation: Generation, archive: str, end: float | None) -> list[Copy]:
    """Return the copies to plan for a generation: the files and previews of its outputs; none before its completion.

    `end` is the time of its end by Higgsfield's clock, by which Higgsfield names the end of the outputs; None if that
    is not known.
    """
    if generation.state is not State.COMPLETED:
        return []
    lifetime = OUTPUTS_KEPT
    kept_until = generation.outputs_expire_time
    # Without an earlier end from Higgsfield, it is OUTPUTS_KEPT after the end by this machine's clock.
    if end is not None and kept_until is not None and kept_until < (generation.end_time or 0.0) + OUTPUTS_KEPT:
        lifetime = min(kept_until - end, OUTPUTS_KEPT)
    folder = f"{generation.tenant}/{generation.id}"
    expires = (generation.ended_at or 0.0) + lifetime
    return [
        Copy(generation.id, part, url, f"{folder}/{name}", media_type, archive, expires)
        for index, output in enumerate(generation.outputs)
        if output.state is State.COMPLETED
        for part, url, name, media_type in _files(index, output)
    ]


def _files(index: int, output: Output) -> Iterator[tuple[Part, str, str, str]]:
    """Yield the parts of an output with their URLs, file names and media types."""
    name = output.name or (output.kind.name.lower() if output.kind is not MediaKind.UNKNOWN else "output")
    if output.url:
        media_type = type_of(output.content_type, output.url)
        yield Part(index), output.url, f"{index}-{_safe(name)}{SUFFIXES[media_type]}", media_type
    if output.preview_url and output.preview_url != output.url:
        media_type = type_of("", output.preview_url)
        file = f"{index}-{_safe(name)}.preview{SUFFIXES[media_type]}"
        yield Part(index, preview=True), output.preview_url, file, media_type


def _safe(text: str) -> str:
    """Return text as a piece of a file name: only harmless characters, and not too many."""
    return _UNSAFE.sub("_", text)[:MAX_NAME_LENGTH]
