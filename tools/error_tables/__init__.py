"""Generates the clients' error classes from protos/hfgateway/v1/error.proto: `python -m tools.error_tables [--check]`.

`read()` returns a class for each gRPC code and for each reason that an RPC can return. Every language has a module here
with the paths of its files and the functions that write them; `LANGUAGES` names them all. The generator needs no
toolchain, so a writer returns its text as the language's formatter would.

The descriptions are the comments of the proto. Those name the standard details of google.rpc, because a caller of the
stubs reads them; `described()` replaces them with the names of the client's attributes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROTO = ROOT / "protos" / "hfgateway" / "v1" / "error.proto"
PREFIX = "ERROR_REASON_"
MARK = "Generated from protos/hfgateway/v1/error.proto by tools/error_tables. DO NOT EDIT!"

CODES: Mapping[str, tuple[str, str]] = {
    "INVALID_ARGUMENT": ("InvalidInput", ""),
    "UNAUTHENTICATED": ("InvalidCredentials", ""),
    "PERMISSION_DENIED": ("NotAllowed", ""),
    "NOT_FOUND": ("NotFound", ""),
    "FAILED_PRECONDITION": ("PreconditionFailed", "The state of the resource does not allow the call."),
    "RESOURCE_EXHAUSTED": ("ResourceExhausted", "A limit was reached, or something is overloaded."),
    "UNAVAILABLE": (
        "Unavailable",
        "The gateway or Higgsfield is not available, or a response was lost. The client retries the call.",
    ),
    "ABORTED": ("Aborted", "The call was aborted."),
    "INTERNAL": ("InternalError", ""),
    "DEADLINE_EXCEEDED": ("DeadlineExceeded", "The call timed out. A submitted generation continues."),
}
"""The class of each gRPC code, and its description. It has none if a reason has the same class."""

SAME_CLASS: Mapping[str, str] = {"CANCELLED": "UNAVAILABLE"}
"""Codes that have the class of another code. A gateway that shuts down returns CANCELLED for calls that it has not
started."""

NAMES: Mapping[str, str] = {"IDEMPOTENCY_KEY_REUSED": "KeyReused", "INTERNAL": "InternalError"}
"""The classes of reasons that are not named after the reason."""


@dataclass(frozen=True)
class ErrorClass:
    """A class of errors: of a gRPC code, or of a reason with that code."""

    name: str
    code: str
    reason: str
    """Empty for the class of a code that no reason shares."""
    base: str
    """The class of the code. Empty for that class itself."""
    description: str
    """Sentences in plain text, from the proto."""


@dataclass(frozen=True)
class Language:
    """The generated files of a client: the path of each, and the function that returns its text."""

    files: Mapping[Path, Callable[[list[ErrorClass]], str]]


def comments(text: str) -> dict[str, str]:
    """Return the comment above each value of ErrorReason in one line; the keys have no prefix."""
    found: dict[str, str] = {}
    comment: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("//"):
            comment.append(line.removeprefix("//").strip())
            continue
        if value := re.match(rf"{PREFIX}(\w+) = \d+", line):
            found[value[1]] = " ".join(comment)
        comment = []
    return found


def read(text: str | None = None) -> list[ErrorClass]:
    """Return the class of each code, each followed by those of its reasons, in the order of `CODES` and of the proto.

    Raises ValueError if a reason has a code without a class.
    """
    reasons: dict[str, list[ErrorClass]] = {code: [] for code in CODES}
    for reason, comment in comments(PROTO.read_text() if text is None else text).items():
        if not (parts := re.fullmatch(r"\[(\w+)\] (.+)", comment)):
            continue  # never the error of an RPC
        code, description = parts.groups()
        if code not in CODES:
            raise ValueError(f"{reason}: the code {code} has no class in tools/error_tables")
        name = NAMES.get(reason, "".join(map(str.capitalize, reason.split("_"))))
        reasons[code].append(ErrorClass(name, code, reason, CODES[code][0], description))
    found = []
    for code, (name, description) in CODES.items():
        same = [one for one in reasons[code] if one.name == name]
        found += [ErrorClass(name, code, one.reason, "", one.description) for one in same]
        if not same:
            found.append(ErrorClass(name, code, "", "", description))
        found += [one for one in reasons[code] if one not in same]
    return found


def classes_of_codes(classes: list[ErrorClass]) -> dict[str, str]:
    """Return the name of the class of each gRPC code."""
    found = {one.code: one.name for one in classes if not one.base}
    return found | {code: found[other] for code, other in SAME_CLASS.items()}


def classes_of_reasons(classes: list[ErrorClass]) -> dict[str, str]:
    """Return the name of the class of each reason."""
    return {one.reason: one.name for one in classes if one.reason}


def described(description: str, terms: Mapping[str, str]) -> str:
    """Replace the standard details in a description, such as BadRequest, with the terms of a language."""
    return re.sub(r"\w+", lambda word: terms.get(word[0], word[0]), description)
