"""The comments of the protos agree with the gateway on the gRPC code of each reason, and every RPC has a retry rule."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

from hfgateway.v1.error_pb2 import ErrorReason
from tools.error_tables import PREFIX, PROTO, comments
from tools.generate import PROTOS

COMMENTS = comments(PROTO.read_text())
NEVER = "Never the error of an RPC"


def documented() -> dict[str, str]:
    """Return the name of the gRPC code of each reason; reasons that are never the error of an RPC are absent."""
    return {reason: code[1] for reason, text in COMMENTS.items() if (code := re.match(r"\[(\w+)\] ", text))}


def test_every_value_of_the_enum_is_read() -> None:
    assert {PREFIX + reason for reason in COMMENTS} == set(ErrorReason.keys())


@pytest.mark.parametrize("reason", sorted(set(COMMENTS) - {"UNSPECIFIED"}))
def test_the_comment_of_every_reason_names_its_code(reason: str) -> None:
    text = COMMENTS[reason]
    assert reason in documented() or text.startswith(NEVER), text


def test_every_documented_code_is_a_grpc_code() -> None:
    assert set(documented().values()) <= set(grpc.StatusCode.__members__) - {"OK"}


def test_the_gateway_answers_with_the_documented_codes() -> None:
    from gateway.rpc.errors import CODES

    assert {reason: code.name for reason, code in CODES.items()} == documented()


@pytest.mark.parametrize("proto", sorted(PROTOS.rglob("*_service.proto")), ids=lambda path: path.stem)
def test_every_error_of_an_rpc_has_the_code_of_its_reason(proto: Path) -> None:
    from gateway.rpc.errors import CODES

    pairs = set(re.findall(r"\b([A-Z_]+) \(([A-Z_]+)\)", proto.read_text())) - {("CODE", "REASON")}
    assert pairs
    assert {(code, reason) for code, reason in pairs if CODES[reason].name != code} == set()


@pytest.mark.parametrize("proto", sorted(PROTOS.rglob("*_service.proto")), ids=lambda path: path.stem)
def test_every_rpc_has_a_retry_rule(proto: Path) -> None:
    commented = dict(re.findall(r"((?: *//.*\n)+) *rpc (\w+)\(", proto.read_text()))
    without = [rpc for comment, rpc in commented.items() if "// Retry: " not in comment]
    assert commented
    assert without == []
