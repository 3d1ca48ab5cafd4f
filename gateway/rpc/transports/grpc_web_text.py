"""Translates gRPC-Web's base64 form, in which Google's JavaScript client reads streams, from and to the binary one.

gRPC's PROTOCOL-WEB describes it: a request is one base64 text, and each part of a response is another one, with its own
padding.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from gateway.rpc.limits.requests import BadRequestError
from gateway.telemetry import Rejection

BINARY = b"application/grpc-web"
TEXT = b"application/grpc-web-text"

Headers = Iterable[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def in_binary(scope: Any, receive: Receive, send: Send) -> tuple[Any, Receive, Send]:
    """Return the scope and the channels that an ASGI app for the binary form needs to serve a call in the base64 form.

    `receive` raises BadRequestError if the request is not base64.
    """
    rest = b""

    async def receive_binary() -> Any:
        nonlocal rest
        message = await receive()
        if message["type"] != "http.request":
            return message
        text = rest + message.get("body", b"")
        # Four characters are three bytes. What is left of a group waits for the next part of the request.
        end = len(text) - len(text) % 4 if message.get("more_body", False) else len(text)
        rest = text[end:]
        try:
            return {**message, "body": base64.b64decode(text[:end], validate=True)}
        except binascii.Error:
            raise BadRequestError(Rejection.ENCODING, "is not base64") from None

    async def send_text(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _in_form(message["headers"], BINARY, TEXT)}
        elif message["type"] == "http.response.body":
            message = {**message, "body": base64.b64encode(message.get("body", b""))}
        await send(message)

    return {**scope, "headers": _in_form(scope["headers"], TEXT, BINARY)}, receive_binary, send_text


def _in_form(headers: Headers, old: bytes, new: bytes) -> Headers:
    """Return headers with the content type of another form, and without the length in the old one."""
    return [
        (name, new + value.removeprefix(old) if name == b"content-type" else value)
        for name, value in headers
        if name != b"content-length"
    ]
