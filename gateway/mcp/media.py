"""Media for generations to start from."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import Violation
from gateway.mcp import words
from gateway.mcp.files import Files
from gateway.mcp.port import GatewayPort, invalid
from gateway.mcp.tool import Report, Told, Tool, an_object

LARGEST_MEDIA: Final = 3_000_000
"""Bytes of an upload in an argument; as base64 they fit into the 4 MiB of a request."""


def upload_tool(files: Files | None) -> Tool:
    """The tool; media comes in the arguments, and from `files` only where a person has named their folder."""
    properties: dict[str, Any] = {
        "data": {
            "type": "string",
            "contentEncoding": "base64",
            "description": f"The media as base64, of {LARGEST_MEDIA // 1_000_000} MB at most.",
        },
        "content_type": {
            "type": "string",
            "description": "With data: image/jpeg, image/png, image/webp, image/gif, audio/wav or video/mp4.",
        },
    }
    if files is not None:
        properties["path"] = {"type": "string", "description": f"A file below {files.described}, instead of data."}

    async def upload(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> Told:
        if files is not None and "path" in arguments:
            if len(arguments) > 1:
                raise invalid([Violation("path", "stands for itself, without data and content_type")])
            media, content_type = files.found(arguments["path"])
            answer = await gateway.upload(media, content_type)
        else:
            missing = [Violation(name, "is required") for name in ("data", "content_type") if name not in arguments]
            if missing:
                raise invalid(missing)
            answer = await gateway.upload(_decoded(arguments["data"]), arguments["content_type"])
        until = answer.expire_time.ToJsonString()
        return Told(f"{answer.url}\nHiggsfield keeps it until {until}.", words.as_json(answer))

    return Tool(
        "upload_media",
        "Upload an image, a speech or a video",
        "Puts media where Higgsfield's models find it, free of charge. The url in the answer serves as an input of "
        "generate, as often as wanted.",
        an_object(properties),
        upload,
        changes=True,
        repeatable=False,
    )


def _decoded(data: str) -> bytes:
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid([Violation("data", "is not base64")]) from None
    if not 0 < len(content) <= LARGEST_MEDIA:
        raise invalid([Violation("data", f"must hold 1 to {LARGEST_MEDIA} bytes")])
    return content
