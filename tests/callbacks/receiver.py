"""A webhook receiver on a real socket with programmable faults, and helpers for the callback RPCs."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from google.protobuf import json_format
from standardwebhooks import Webhook

from hfgateway.v1 import callback_service_pb2 as pb
from hfgateway.v1 import generation_pb2
from tests.support.running import WAIT_TIMEOUT, Generation, Running, name_of, soul
from tests.support.transports import Transport

HANG = object()
HOLD = object()
CLOSE = object()
Response = object
"""A status, (status, headers), the first bytes of an unfinished response, HANG for no response, HOLD for a 200 once
`let_go` is set, or CLOSE. What follows HOLD in a tuple is the response instead of 200."""


@dataclass(frozen=True)
class Got:
    """One received attempt, with header names in lower case."""

    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    @property
    def generation(self) -> Generation:
        return json_format.ParseDict(self.event["data"], generation_pb2.Generation())

    @property
    def state(self) -> str:
        return name_of(self.generation)

    def verify(self, secret: str) -> Any:
        """Verify with the published library, which raises an error if the signature is invalid."""
        return Webhook(secret).verify(self.body, dict(self.headers))

    def signed_by(self, secret: str) -> bool:
        """Return true if the published library makes one of the signatures with this secret, at any time."""
        sent = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        expected = Webhook(secret).sign(self.id, sent, self.body.decode())
        return expected in self.headers["webhook-signature"].split(" ")


class Receiver:
    """Responds as planned, then with `usual`, and records every attempt. Serves plain HTTP, or TLS.

    A body that contains the text `refuses` is answered with 400. `taken` are the attempts answered with 2xx.
    """

    def __init__(self, tls: Any = None) -> None:
        self.got: list[Got] = []
        self.taken: list[Got] = []
        self.plan: deque[Response] = deque()
        self.usual: Response = 200
        self.refuses = ""
        self.open = self.most_open = 0
        self.let_go = asyncio.Event()
        self._came = asyncio.Condition()
        self._tls = tls
        self._server: asyncio.Server
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?of=shop"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def gets(self, count: int) -> list[Got]:
        """Return all attempts, once there are at least `count`."""
        async with asyncio.timeout(WAIT_TIMEOUT), self._came:
            await self._came.wait_for(lambda: len(self.got) >= count)
        return self.got

    async def gets_one(self, holds: Callable[[Got], bool]) -> Got:
        """Return the first attempt that satisfies the condition, once it has arrived."""
        async with asyncio.timeout(WAIT_TIMEOUT), self._came:
            await self._came.wait_for(lambda: any(map(holds, self.got)))
        return next(filter(holds, self.got))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self._connections.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        assert method == "POST"
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(headers["content-length"]))
        got = Got(target, headers, body)
        async with self._came:
            self.got.append(got)
            self._came.notify_all()
        answer = self.plan.popleft() if self.plan else self.usual
        if self.refuses and self.refuses.encode() in body:
            answer = 400
        if isinstance(answer, bytes):
            writer.write(answer)
        if answer is HANG or isinstance(answer, bytes):
            await self.let_go.wait()
        if answer is HANG or answer is CLOSE or isinstance(answer, bytes):
            return
        held = answer if isinstance(answer, tuple) else (answer, 200)
        if held[0] is HOLD:
            await self.let_go.wait()
            answer = held[1]
        status, more = answer if isinstance(answer, tuple) else (answer, {})
        if 200 <= status < 300:
            self.taken.append(got)
        content = "" if status in {204, 304} else "ok"
        sent = {"Content-Length": len(content), **more} if content else more
        lines = [f"HTTP/1.1 {status} so", *(f"{name}: {value}" for name, value in sent.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n" + content).encode())
        await writer.drain()


async def create(
    running: Running,
    url: str,
    *,
    every_change: bool = False,
    key: str = "one",
    client: Transport | None = None,
    **filter: Any,
) -> pb.CreateCallbackResponse:
    """Create a callback of the tenant."""
    request = pb.CreateCallbackRequest(url=url, every_change=every_change, idempotency_key=key)
    if filter:
        json_format.ParseDict(filter, request.filter)
    answer: pb.CreateCallbackResponse = await (client or running.grpc).call("CreateCallback", request)
    return answer


async def state_of(running: Running, callback_id: str) -> pb.Callback:
    """Return the callback with GetCallback."""
    answer: pb.GetCallbackResponse = await running.grpc.call("GetCallback", pb.GetCallbackRequest(id=callback_id))
    return answer.callback


async def deliveries(running: Running, callback_id: str, **more: Any) -> list[pb.Delivery]:
    """Return the callback's deliveries, newest first."""
    request = pb.ListDeliveriesRequest(callback_id=callback_id, **more)
    answer: pb.ListDeliveriesResponse = await running.grpc.call("ListDeliveries", request)
    return list(answer.deliveries)


async def until(running: Running, callback_id: str, holds: Callable[[list[pb.Delivery]], bool]) -> list[pb.Delivery]:
    """Return the deliveries once the condition holds: a response is stored a moment after it was sent."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while not holds(found := await deliveries(running, callback_id)):
            await asyncio.sleep(0.01)
    return found


async def settles(running: Running, callback_id: str, count: int) -> list[pb.Delivery]:
    """Return the deliveries once at least `count` are delivered."""
    return await until(
        running, callback_id, lambda found: sum(one.state == pb.DELIVERY_STATE_DELIVERED for one in found) >= count
    )


async def change(running: Running, callback_id: str, **more: Any) -> pb.Callback:
    """Call UpdateCallback."""
    answer: pb.UpdateCallbackResponse = await running.grpc.call(
        "UpdateCallback", pb.UpdateCallbackRequest(id=callback_id, **more)
    )
    return answer.callback


async def finished(running: Running, prompt: str, **more: Any) -> Generation:
    """Submit a generation; return it when it has completed."""
    generation = await running.submit(soul(prompt, **more))
    return await running.finish(generation.id)
