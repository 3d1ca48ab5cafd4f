"""The values: a character as Higgsfield shows it, what a caller orders, and our record of having sent that order."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from enum import IntEnum

from gateway.errors import Failure, Violation
from gateway.generations.inputs import SoulVersion, added_values, url_violations
from gateway.generations.model import canonical_json

LONGEST_NAME = 100
MOST_IMAGES = 100
"""Both from the page of the call (upstream.md 3)."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class CharacterState(IntEnum):
    """How far training is; the numbers of `CharacterState` in character_service.proto."""

    UNSPECIFIED = 0
    NOT_READY = 1
    QUEUED = 2
    IN_PROGRESS = 3
    COMPLETED = 4
    FAILED = 5


ENDS = frozenset({CharacterState.COMPLETED, CharacterState.FAILED})


@dataclass(frozen=True, slots=True)
class Character:
    """What Higgsfield tells of one. `version` None: one that we do not know. `create_time` is Higgsfield's, wall."""

    id: str
    name: str
    state: CharacterState
    version: SoulVersion | None
    thumbnail_url: str = ""
    failure: Failure | None = None
    create_time: float | None = None

    @property
    def done(self) -> bool:
        """Whether training has ended."""
        return self.state in ENDS


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller wants trained, under an idempotency key."""

    name: str
    image_urls: tuple[str, ...]
    version: SoulVersion
    key: str

    def violations(self) -> list[Violation]:
        """Every field that cannot be right."""
        wrong = []
        if not self.name.strip():
            wrong.append(Violation("name", "is required"))
        elif len(self.name) > LONGEST_NAME:
            wrong.append(Violation("name", f"must be at most {LONGEST_NAME} characters"))
        if not 1 <= len(self.image_urls) <= MOST_IMAGES:
            wrong.append(Violation("image_urls", f"needs 1 to {MOST_IMAGES}"))
        for index, url in enumerate(self.image_urls):
            at = f"image_urls[{index}]"
            wrong.extend(url_violations(at, url) if url else [Violation(at, "is empty")])
        return wrong

    def fingerprint(self) -> bytes:
        """What tells two orders apart under one key. Declare new fields with `added()`: unset, they change nothing."""
        content = canonical_json([self.name, list(self.image_urls), self.version.name, *added_values(self)])
        return b"\x01" + hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class Creation:
    """One order that may have been sent: durable before its first byte. It is open while `character_id` is empty.

    `known`: the characters of that name that were there before. `sent_date` is Higgsfield's time of the sending,
    `sent_at` ours (steady).
    """

    id: str
    tenant: str
    key: str
    fingerprint: bytes
    account: str
    name: str
    version: SoulVersion
    known: frozenset[str] = field(repr=False)
    sent_date: float
    sent_at: float
    character_id: str = ""

    @property
    def open(self) -> bool:
        """Whether it is not known which character came of it."""
        return not self.character_id


@dataclass(frozen=True, slots=True)
class Removal:
    """A tenant wants a character deleted; `gone` once Higgsfield has said that it is."""

    account: str
    character_id: str
    tenant: str
    gone: bool = False


def plain_name(name: str) -> str:
    """A name as it is compared: it is not known whether Higgsfield keeps spaces around it, and how it writes an é."""
    return unicodedata.normalize("NFC", name.strip())


def same_name(one: str, other: str) -> bool:
    """Whether Higgsfield may show two names alike."""
    return plain_name(one) == plain_name(other)


def plain_id(given: str) -> str:
    """The id as we compare it; empty for what cannot be one (`list` is a path of the API)."""
    if _UUID.fullmatch(given):
        return given.lower()
    return given if _ID.fullmatch(given) and given != "list" else ""
