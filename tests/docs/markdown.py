"""Parse the project's Markdown files: fenced blocks, links, headings, code spans."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELLS = frozenset({"sh", "bash", "shell", "console"})

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block, with its file and line."""

    file: str
    line: int
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block without comments, prompts and empty lines. Continued lines are joined."""
        joined = self.text.replace("\\\n", " ")
        plain = (re.sub(r"(^|\s)#\s.*", "", line).removeprefix("$ ").strip() for line in joined.splitlines())
        return [line for line in plain if line]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def documents() -> list[str]:
    """Return the path of every Markdown file of the project."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(name for name in set(listed.stdout.split("\0")) - {""} if (ROOT / name).is_file())


def read(file: str) -> str:
    """Return the text of a document."""
    return (ROOT / file).read_text()


def blocks(file: str) -> list[Block]:
    """Return the fenced blocks of a document."""
    text = read(file)
    return [Block(file, text.count("\n", 0, m.start()) + 1, m[1], m[2]) for m in _FENCE.finditer(text)]


def prose(file: str) -> str:
    """Return the text of a document without its fenced blocks."""
    return _FENCE.sub("", read(file))


def links(file: str) -> Iterator[str]:
    """Return the targets of the links of a document."""
    yield from _LINK.findall(prose(file))


def anchors(file: str) -> set[str]:
    """Return the anchors of the headings of a document, as GitHub generates them."""
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose(file)))
    return {heading.strip().replace(" ", "-") for heading in headings}


def spans(file: str) -> list[str]:
    """Return the code spans of a document."""
    return _SPAN.findall(prose(file))
