"""The values of characters: a character at Higgsfield, a caller's order, and the record of a sent order."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import field
from enum import IntEnum
from typing import Any
from uuid import UUID

from gateway.errors import Failure, Violation
from gateway.frozen import frozen
from gateway.generations.inputs import SoulVersion, added_values, url_violations
from gateway.generations.model import canonical_json

MAX_NAME_LENGTH = 100
MAX_IMAGES = 100
"""The limits of Higgsfield's API, from its documentation."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class CharacterState(IntEnum):
    """The progress of training; the numbers of `CharacterState` in character_service.proto."""

    UNSPECIFIED = 0
    NOT_READY = 1
    QUEUED = 2
    IN_PROGRESS = 3
    COMPLETED = 4
    FAILED = 5


ENDS = frozenset({CharacterState.COMPLETED, CharacterState.FAILED})


@frozen
class Character:
    """A character as Higgsfield reports it. `version` None: a version that this gateway does not know.

    `create_time` is Higgsfield's wall time, None if it is not reported. `extra` are the values of the response that no
    other field has exactly, as JSON.
    """

    id: str
    name: str
    state: CharacterState
    version: SoulVersion | None
    thumbnail_url: str = ""
    failure: Failure | None = None
    create_time: float | None = None
    extra: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)

    @property
    def done(self) -> bool:
        """Whether training has completed or failed."""
        return self.state in ENDS


@frozen
class Order:
    """A caller's request to train a character, with its idempotency key."""

    name: str
    image_urls: tuple[str, ...]
    version: SoulVersion
    key: str

    def violations(self) -> list[Violation]:
        """Return all invalid fields."""
        wrong = []
        if not self.name.strip():
            wrong.append(Violation("name", "is required"))
        elif len(self.name) > MAX_NAME_LENGTH:
            wrong.append(Violation("name", f"must be at most {MAX_NAME_LENGTH} characters"))
        elif "\0" in self.name:  # PostgreSQL cannot store it, so a SQLite store with it could not be moved
            wrong.append(Violation("name", "must not contain a null character"))
        if not 1 <= len(self.image_urls) <= MAX_IMAGES:
            wrong.append(Violation("image_urls", f"needs 1 to {MAX_IMAGES}"))
        for index, url in enumerate(self.image_urls):
            at = f"image_urls[{index}]"
            wrong.extend(url_violations(at, url) if url else [Violation(at, "is empty")])
        return wrong

    def fingerprint(self) -> bytes:
        """Hash the order, to compare calls with one idempotency key.

        Declare new fields with `added()`, so that stored fingerprints stay valid.
        """
        content = canonical_json([self.name, list(self.image_urls), self.version.name, *added_values(self)])
        return b"\x01" + hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()


@frozen
class Creation:
    """The record of an order, stored before it is sent. It is open, without an outcome, while `character_id` is "".

    `known` are the ids of the characters with this name before the order was sent. `sent_date` is the time of sending
    by Higgsfield's clock, `sent_at` by this gateway's steady clock.
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
        """Whether the outcome is unknown."""
        return not self.character_id


@frozen
class Removal:
    """A tenant's request to delete a character; `gone` once Higgsfield has confirmed it."""

    account: str
    character_id: str
    tenant: str
    gone: bool = False


def plain_name(name: str) -> str:
    """Normalize a name for comparisons: Higgsfield may strip spaces or change the Unicode normalization."""
    return unicodedata.normalize("NFC", name.strip())


def same_name(one: str, other: str) -> bool:
    """Return whether two names may be the same one at Higgsfield."""
    return plain_name(one) == plain_name(other)


def plain_id(given: str) -> str:
    """Normalize an id for comparisons; "" if the text cannot be an id (`list` is a path of Higgsfield's API)."""
    try:
        return str(UUID(given))  # in any of its forms, as Higgsfield may read it
    except ValueError:
        return given if _ID.fullmatch(given) and given != "list" else ""
