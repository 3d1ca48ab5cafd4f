"""A minimal replacement for Higgsfield that spends a few microseconds on each request.

It accepts every submission, and generations do not end by themselves:

- `PUT /delay/SECONDS` delays the responses to submissions.
- Each status call returns another status text, which is a change for the gateway. `PUT /steady/1` makes the text
  constant, and after `PUT /ended/1` every generation is completed.
- A cancel call is accepted and has no effect.
- `GET /requests` lists the requests since the last such call, with their webhook URLs.
- `GET /calls` returns the number of submissions and status calls.
"""

import asyncio
import json
import re
from itertools import count
from urllib.parse import unquote
from uuid import uuid4

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Higgsfield:
    """The state that all connections share."""

    def __init__(self) -> None:
        self.delay = self.steady = self.ended = 0.0
        self._steps = count(1)
        self._calls = 0
        self._requests: list[tuple[str, str]] = []

    def answer(self, method: str, path: str) -> tuple[bytes, float]:
        """Return the response body for a request, and the delay before it in seconds."""
        parts = path.split("/")
        if method == "PUT":
            setattr(self, parts[1], float(parts[2]))
            return b"{}", 0.0
        if path.endswith("/cancel"):
            return b"{}", 0.0
        if path == "/calls":
            return str(self._calls).encode(), 0.0
        if path == "/requests":
            requests, self._requests = self._requests, []
            return json.dumps(requests).encode(), 0.0
        if path.partition("?")[0] == "/models":
            return b'{"items": []}', 0.0
        if path.startswith("/estimate/"):
            return b'{"type": "estimate", "credits": "0.050", "usd": "0.004"}', 0.0
        self._calls += 1
        if method == "GET" and self.ended:
            return _status("completed", parts[2]), 0.0
        if method == "GET":
            return _status("queued" if self.steady else f"queued, step {next(self._steps)}", parts[2]), 0.0
        request_id = str(uuid4())
        _, found, query = path.partition("?hf_webhook=")
        if found:
            self._requests.append((request_id, unquote(query)))
        return _status("queued", request_id), self.delay


class Connection(asyncio.Protocol):
    """One keep-alive connection. Pipelining is not supported."""

    def __init__(self, higgsfield: Higgsfield) -> None:
        self._higgsfield = higgsfield
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(received, 0, end)
        if len(received) < end + 4 + (int(length[1]) if length else 0):
            return
        self._received = b""
        method, path, _ = received[: received.index(b"\r\n")].decode().split(" ", 2)
        body, delay = self._higgsfield.answer(method, path)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._send, body)
        else:
            self._send(body)

    def _send(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def _status(status: str, request_id: str) -> bytes:
    url = f"https://127.0.0.1/requests/{request_id}"
    content = {
        "status": status, "request_id": request_id, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel",
    }  # fmt: skip
    return json.dumps(content).encode()


async def main() -> None:
    """Serve until killed."""
    higgsfield = Higgsfield()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(higgsfield), "127.0.0.1", 0, backlog=1024
    )
    host, port = server.sockets[0].getsockname()
    print(f"upstream: on {host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
