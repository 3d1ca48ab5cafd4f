"""The error reasons and codes that the comments of the protos promise, read from the files."""

from __future__ import annotations

import re

from hfgateway.v1.error_pb2 import ErrorReason
from tools.error_tables import PREFIX, PROTO, comments
from tools.generate import PROTOS

_REASONS = comments(PROTO.read_text())

CODES = {reason: code[1] for reason, text in _REASONS.items() if (code := re.match(r"\[(\w+)\] ", text))}
"""The gRPC code of each reason that an RPC can return."""


def promises_detail(reason: str, detail: str) -> bool:
    """Return whether the comment of a reason names this standard error detail, such as RetryInfo."""
    return detail in _REASONS[reason]


_NAMES = {name.removeprefix(PREFIX) for name, _ in ErrorReason.items()}


def _named(comment: str) -> frozenset[str]:
    """Return the reasons in a comment. A name before parentheses is a gRPC code, as in NOT_FOUND (MODEL_UNKNOWN)."""
    text = re.sub(r"\s*//", "", comment)
    return frozenset(re.findall(r"\b[A-Z][A-Z_]+\b(?!\s*\()", text)) & _NAMES


def reasons_of(method: str, service: str = "generation_service") -> frozenset[str]:
    """Return the reasons that an RPC can return according to the comments of the service and of the RPC."""
    text = (PROTOS / "hfgateway" / "v1" / f"{service}.proto").read_text()
    common, own = (
        re.search(r"((?://.*\n)+)service ", text),
        re.search(rf"((?: *//.*\n)+) *rpc {method}\(", text),
    )
    assert common is not None
    assert own is not None
    return _named(common[1]) | _named(own[1])
