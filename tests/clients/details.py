"""Keeps the bytes of protos/vectors/errors.json what its readable statuses are: `python -m tests.clients.details`."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, json_format
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from hfgateway.v1 import error_pb2

VECTORS = Path(__file__).parents[2] / "protos" / "vectors"
ERRORS = VECTORS / "errors.json"
KNOWN = (error_pb2, error_details_pb2)
"""What a status may hold: JSON names it, and the pool of descriptors knows what is imported."""


def updated() -> str:
    """The file as it has to be: `details` is the status as it goes over the wire, in base64."""
    vectors = json.loads(ERRORS.read_text())
    for case in vectors["calls"]:
        if case["status"] is not None:
            case["details"] = base64.b64encode(serialised(case["status"])).decode()
    return json.dumps(vectors, indent=2, ensure_ascii=False) + "\n"


def serialised(status: dict[str, Any]) -> bytes:
    """A google.rpc.Status from its JSON."""
    parsed = json_format.ParseDict(status, status_pb2.Status())
    for detail in parsed.details:
        # As it was packed, the entries of its maps stand in any order.
        message = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(detail.TypeName()))()
        detail.Unpack(message)
        detail.value = message.SerializeToString(deterministic=True)
    wire: bytes = parsed.SerializeToString(deterministic=True)
    return wire


if __name__ == "__main__":
    ERRORS.write_text(updated())
