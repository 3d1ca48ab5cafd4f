"""Updates the encoded details in protos/vectors/errors.json: `python -m tests.clients.details`."""

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
"""Imported modules of the messages that a status may contain; the descriptor pool finds only imported ones."""


def updated() -> str:
    """Return the file with every `details` set to its serialized status in base64."""
    vectors = json.loads(ERRORS.read_text())
    for case in vectors["calls"]:
        if case["status"] is not None:
            case["details"] = base64.b64encode(serialised(case["status"])).decode()
    return json.dumps(vectors, indent=2, ensure_ascii=False) + "\n"


def serialised(status: dict[str, Any]) -> bytes:
    """Return a google.rpc.Status, parsed from JSON, in its wire format."""
    parsed = json_format.ParseDict(status, status_pb2.Status())
    for detail in parsed.details:
        # Packing wrote the entries of maps in any order.
        message = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(detail.TypeName()))()
        detail.Unpack(message)
        detail.value = message.SerializeToString(deterministic=True)
    wire: bytes = parsed.SerializeToString(deterministic=True)
    return wire


if __name__ == "__main__":
    ERRORS.write_text(updated())
