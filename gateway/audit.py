"""The audit log: a chain of entries, each with a hash of itself and of the entry before (docs/audit.md).

The stores append the entries that `gateway/store/auditor.py` makes. `hfgateway audit verify` checks exports and store
files with this module, without a gateway.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

GENESIS = bytes(32)
"""The hash before the first entry."""
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Returns the text of an entry: ASCII, with sorted names and no spaces."""


class Entry(NamedTuple):
    """An entry: its number, counted from 1, its text, and its hash."""

    sequence: int
    text: str
    hash: bytes


class Head(NamedTuple):
    """The number and the hash of the last entry at some time. Its text is `NUMBER:HASH`."""

    sequence: int = 0
    hash: bytes = GENESIS

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read the text of a head. Raises ValueError."""
        match = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text)
        if match is None:
            raise ValueError("must be NUMBER:HASH, as `hfgateway audit head` prints it")
        return cls(int(match[1]), bytes.fromhex(match[2]))


class AuditStore(Protocol):
    """The audit log of a store. The other parts of the store append to it. Its methods raise UnconfirmedError."""

    async def audit_head(self) -> Head:
        """Return the number and the hash of the last entry."""

    async def audit_entries(self, first: int, limit: int) -> Sequence[Entry]:
        """Return entries in their order, beginning with the number `first`."""

    async def record(self, act: str, details: Mapping[str, object]) -> None:
        """Append an entry about the gateway itself, even if the audit is off."""


class BrokenChainError(Exception):
    """The log was changed. The message names the first entry that shows it."""


def chained(previous: bytes, sequence: int, text: str) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(previous + sequence.to_bytes(8) + text.encode()).digest()


def time_of(entry: Entry) -> float:
    """Return the wall time of an entry in seconds."""
    return datetime.fromisoformat(json.loads(entry.text)["time"]).timestamp()


def line(previous: bytes, entry: Entry) -> str:
    """Return an entry as a line of an export."""
    hashes = f'"previous":"{previous.hex()}","hash":"{entry.hash.hex()}"'
    return f'{{"sequence":{entry.sequence},{hashes},"entry":{entry.text}}}'


def read_export(lines: Iterable[str]) -> Iterator[tuple[bytes, Entry]]:
    """Yield the entries of an export, each with the hash before it. Raises BrokenChainError."""
    for number, text in enumerate(lines, 1):
        try:
            given: dict[str, Any] = json.loads(text)
            previous = bytes.fromhex(given["previous"])
            entry = Entry(int(given["sequence"]), canonical(given["entry"]), bytes.fromhex(given["hash"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise BrokenChainError(f"line {number} is not an entry") from None
        if line(previous, entry) != text.rstrip("\n"):
            raise BrokenChainError(f"entry {entry.sequence}: its line was changed or reformatted")
        yield previous, entry


class Verified(NamedTuple):
    """The result of a verification: the number of the first entry, and the head."""

    first: int
    head: Head


def verify(entries: Iterable[tuple[bytes, Entry]], noted: Iterable[Head] = ()) -> Verified:
    """Check that entries are one chain, and that it contains the noted heads. Raises BrokenChainError.

    A chain that does not begin with entry 1 is checked from its first entry on.
    """
    expected: dict[int, set[bytes]] = {}
    for noted_head in noted:
        # A log that was restored or replaced gives its numbers again: each noted hash counts.
        expected.setdefault(noted_head.sequence, set()).add(noted_head.hash)
    first, head = 0, Head()
    for previous, entry in entries:
        number = entry.sequence
        if not 0 < number < 1 << 63:
            raise BrokenChainError(f"entry {number}: no entry has this number")
        if not first:
            first, head = number, Head(number - 1, previous if number > 1 else GENESIS)
            _compare(head, expected)
        if number != head.sequence + 1:
            raise BrokenChainError(f"entry {head.sequence + 1} is missing: entry {number} is in its place")
        if previous != head.hash:
            raise BrokenChainError(f"entry {number}: the hash before it is not that of entry {number - 1}")
        if entry.hash != chained(previous, number, entry.text):
            raise BrokenChainError(f"entry {number}: was changed: it does not have its hash")
        head = Head(number, entry.hash)
        _compare(head, expected)
    expected.pop(0, None)
    if expected:
        number = min(expected)
        where = "before the first entry" if number < first else "the log ends before it"
        raise BrokenChainError(f"entry {number}, whose hash was noted, is missing: {where}")
    return Verified(first, head)


def _compare(head: Head, expected: dict[int, set[bytes]]) -> None:
    noted = expected.pop(head.sequence, {head.hash})
    if noted != {head.hash}:
        raise BrokenChainError(f"entry {head.sequence}: is not the one whose hash was noted")
