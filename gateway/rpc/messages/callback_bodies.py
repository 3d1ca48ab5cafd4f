"""The bodies of callback deliveries: JSON with a type, a time and a Generation (see callback_service.proto)."""

import json
from typing import Any

from google.protobuf.json_format import MessageToDict

from gateway.generations.model import Generation
from gateway.rpc.messages.wire import generation_message, timestamp


class JsonBodies:
    """Implements `Bodies` in proto3 JSON."""

    def of(self, generation: Generation) -> bytes:
        """Return the body for one revision of a generation, without its input."""
        data = MessageToDict(generation_message(generation, generation.polls))
        return _body(f"generation.{generation.state.name.lower()}", generation.update_time, data)

    def of_test(self, wall: float) -> bytes:
        """Return the body of a test delivery, with an empty generation."""
        return _body("callback.test", wall, {})


def _body(kind: str, wall: float, data: dict[str, Any]) -> bytes:
    time = timestamp(wall)
    assert time is not None
    content = {"type": kind, "timestamp": time.ToJsonString(), "data": data}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
