"""The tool that uploads media as inputs of generations."""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.errors import Violation
from gateway.mcp import render
from gateway.mcp.files import Files
from gateway.mcp.port import GatewayPort, RefusedError, invalid
from gateway.mcp.tool import Report, Tool, ToolResult, object_schema
from hfgateway.v1.upload_service_pb2 import UploadMediaResponse

MAX_MEDIA_BYTES: Final = 3_000_000
"""Bytes of an upload in an argument. Encoded as base64 it fits into a request, which may have 4 MiB."""


def upload_tool(files: Files | None) -> Tool:
    """Return the tool. It takes media from its arguments, and with `files` also from the folders of the user."""
    properties: dict[str, Any] = {
        "data": {
            "type": "string",
            "contentEncoding": "base64",
            "description": f"The media as base64, at most {MAX_MEDIA_BYTES // 1_000_000} MB.",
        },
        "content_type": {
            "type": "string",
            "description": "With data: image/jpeg, image/png, image/webp, image/gif, audio/wav or video/mp4.",
        },
    }
    if files is not None:
        properties["path"] = {"type": "string", "description": f"A file below {files.description}, instead of data."}

    async def upload(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
        if files is not None and "path" in arguments:
            if len(arguments) > 1:
                raise invalid([Violation("path", "cannot be combined with data or content_type")])
            media, content_type = files.find(arguments["path"])
            response = await _upload(gateway, media, content_type)
        else:
            missing = [Violation(name, "is required") for name in ("data", "content_type") if not arguments.get(name)]
            if missing:
                raise invalid(missing)
            response = await _upload(gateway, _decode_base64(arguments["data"]), arguments["content_type"])
        until = response.expire_time.ToJsonString()
        return ToolResult(f"{response.url}\nHiggsfield keeps it until {until}.", render.as_json(response))

    return Tool(
        "upload_media",
        "Upload an image, speech or a video",
        "Uploads media to Higgsfield's storage, free of charge. Use the url in the answer as an input of generate, any "
        "number of times.",
        object_schema(properties),
        upload,
        is_write=True,
        is_idempotent=False,
    )


async def _upload(gateway: GatewayPort, media: bytes | Path, content_type: str) -> UploadMediaResponse:
    """Upload media. A refusal names the arguments instead of the fields of the RPC's header."""
    try:
        return await gateway.upload(media, content_type)
    except RefusedError as refused:
        failure = refused.failure
        # Only a file may have a size that is refused: that of data has been checked.
        for field, argument in (("header.content_type", "content_type"), ("header.size", "path")):
            failure.message = failure.message.replace(field, argument)
            for violation in failure.field_violations:
                violation.field = violation.field.replace(field, argument)
        raise


def _decode_base64(data: str) -> bytes:
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid([Violation("data", "is not base64")]) from None
    if not 0 < len(content) <= MAX_MEDIA_BYTES:
        raise invalid([Violation("data", f"must hold 1 to {MAX_MEDIA_BYTES} bytes")])
    return content
