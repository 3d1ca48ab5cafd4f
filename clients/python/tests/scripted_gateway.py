"""A fake gateway with real sockets. A test scripts it with one step for each call, or for each message of a stream."""

import asyncio
import subprocess
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from hfgateway.agents.v1alpha1 import agent_service_pb2
from hfgateway.agents.v1alpha1.agent_service_pb2_grpc import AgentServiceServicer, add_AgentServiceServicer_to_server
from hfgateway.v1 import (
    callback_service_pb2,
    catalog_service_pb2,
    character_service_pb2,
    token_service_pb2,
    upload_service_pb2,
)
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.callback_service_pb2_grpc import CallbackServiceServicer, add_CallbackServiceServicer_to_server
from hfgateway.v1.catalog_service_pb2_grpc import CatalogServiceServicer, add_CatalogServiceServicer_to_server
from hfgateway.v1.character_service_pb2_grpc import (
    CharacterServiceServicer,
    add_CharacterServiceServicer_to_server,
)
from hfgateway.v1.error_pb2 import ErrorReason, Failure
from hfgateway.v1.generation_pb2 import Generation, GenerationState
from hfgateway.v1.generation_service_pb2_grpc import (
    GenerationServiceServicer,
    add_GenerationServiceServicer_to_server,
)
from hfgateway.v1.token_service_pb2_grpc import TokenServiceServicer, add_TokenServiceServicer_to_server
from hfgateway.v1.upload_service_pb2_grpc import UploadServiceServicer, add_UploadServiceServicer_to_server

SERVICES = (
    pb.DESCRIPTOR.services_by_name["GenerationService"],
    token_service_pb2.DESCRIPTOR.services_by_name["TokenService"],
    upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"],
    catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"],
    character_service_pb2.DESCRIPTOR.services_by_name["CharacterService"],
    agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"],
    callback_service_pb2.DESCRIPTOR.services_by_name["CallbackService"],
)


@dataclass
class Refusal:
    """A step that ends the call or the stream with an error in the format of the gateway."""

    code: grpc.StatusCode
    failure: Failure
    newer_reason: str = ""
    """The name of a reason that is newer than the stubs."""
    details: bool = True
    """Whether the error has details. An error of the transport has none."""
    early: bool = False
    """Whether to end an upload after its first message, while the client sends the others."""

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return (("grpc-status-details-bin", self.status().SerializeToString()),) if self.details else ()

    def status(self) -> status_pb2.Status:
        status = status_pb2.Status(code=self.code.value[0], message=self.failure.message)
        status.details.add().Pack(self.failure)
        name = self.newer_reason or ErrorReason.Name(self.failure.reason).removeprefix("ERROR_REASON_")
        status.details.add().Pack(error_details_pb2.ErrorInfo(domain="hfgateway", reason=name))
        return status


def refusal(code: str, reason: str, message: str = "", *, retry_delay: float = 0.0, **fields: str) -> Refusal:
    failure = Failure(reason=f"ERROR_REASON_{reason}", message=message)
    if retry_delay:
        failure.retry_delay.FromMilliseconds(round(retry_delay * 1000))
    for field, description in fields.items():
        failure.field_violations.add(field=field.replace("__", "."), description=description)
    return Refusal(grpc.StatusCode[code], failure)


def generation(state: str, revision: int, id: str = "g1", **fields: Any) -> Generation:
    final = {"COMPLETED", "FAILED", "NSFW", "CANCELED", "LOST"}
    number = GenerationState.Value(f"GENERATION_STATE_{state}")
    return Generation(id=id, state=number, revision=revision, done=state in final, **fields)


def change(state: str, revision: int, id: str = "g1", **fields: Any) -> pb.WatchGenerationResponse:
    return pb.WatchGenerationResponse(generation=generation(state, revision, id, **fields))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Create a self-signed certificate for 127.0.0.1, and return its path and that of its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gateway"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return cert, key


Step = Message | Refusal | Callable[[Any], Awaitable[Any]]


class ScriptedGateway(
    GenerationServiceServicer,
    TokenServiceServicer,
    UploadServiceServicer,
    CatalogServiceServicer,
    CharacterServiceServicer,
    AgentServiceServicer,
    CallbackServiceServicer,
):
    """A server whose steps are added with ``on``. It records calls in ``requests`` and ``metadata``."""

    def __init__(self) -> None:
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.metadata: dict[str, str] = {}
        self.time_remaining: float | None = None
        self.address = "127.0.0.1:0"
        self.unscripted: dict[str, Any] = {}
        """The step for calls of an RPC without a scripted step."""
        self._steps: dict[str, deque[Any]] = defaultdict(deque)
        self._credentials: grpc.ServerCredentials | None = None
        self._server: grpc.aio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def on(self, rpc: str, *steps: Any) -> None:
        """Add one step for each expected call. The step of a stream is a list with one step for each message."""
        self._steps[rpc].extend(steps)

    async def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self._credentials = credentials or self._credentials
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        add_GenerationServiceServicer_to_server(self, self._server)
        add_TokenServiceServicer_to_server(self, self._server)
        add_UploadServiceServicer_to_server(self, self._server)
        add_CatalogServiceServicer_to_server(self, self._server)
        add_CharacterServiceServicer_to_server(self, self._server)
        add_AgentServiceServicer_to_server(self, self._server)
        add_CallbackServiceServicer_to_server(self, self._server)
        if self._credentials:
            port = self._server.add_secure_port(self.address, self._credentials)
        else:
            port = self._server.add_insecure_port(self.address)
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        await asyncio.gather(*self._tasks)  # first: a restart that is under way would start another server
        if self._server:
            await self._server.stop(None)
            self._server = None

    async def cut(self, _request: object = None) -> None:
        """A step that closes all connections during their calls, and starts a new server at the same address."""
        task = asyncio.create_task(self._restart())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.Event().wait()

    async def hang(self, _request: object = None) -> None:
        """A step that never responds."""
        await asyncio.Event().wait()

    async def _restart(self) -> None:
        server, self._server = self._server, None
        if server:
            await server.stop(None)
        await self.start()

    async def _perform(self, step: Step, request: Any, context: Any) -> Any:
        if isinstance(step, Refusal):
            await context.abort(step.code, step.failure.message, trailing_metadata=step.trailing_metadata())
        if isinstance(step, Message):
            return step
        result = await step(request)  # type: ignore[operator]
        return await self._perform(result, request, context) if isinstance(result, Refusal) else result

    def _take(self, rpc: str, request: Any, context: Any) -> Any:
        self.requests[rpc].append(request)
        self.metadata = dict(context.invocation_metadata())
        self.time_remaining = context.time_remaining()
        steps = self._steps[rpc]
        return self.unscripted[rpc] if not steps and rpc in self.unscripted else steps.popleft()


def _unary(rpc: str) -> Any:
    async def method(self: ScriptedGateway, request: Any, context: Any) -> Any:
        return await self._perform(self._take(rpc, request, context), request, context)

    return method


def _stream(rpc: str) -> Any:
    async def method(self: ScriptedGateway, request: Any, context: Any) -> AsyncIterator[Any]:
        for step in self._take(rpc, request, context):
            message = await self._perform(step, request, context)
            if message is not None:
                yield message

    return method


def _upload(rpc: str) -> Any:
    async def method(self: ScriptedGateway, messages: AsyncIterator[Any], context: Any) -> Any:
        step = next(iter(self._steps[rpc]), None)
        early = isinstance(step, Refusal) and step.early
        parts = [await anext(aiter(messages))] if early else [message async for message in messages]
        return await self._perform(self._take(rpc, parts, context), parts, context)

    return method


for _service in SERVICES:
    for _method in _service.methods:
        _make = _stream if _method.server_streaming else _upload if _method.client_streaming else _unary
        setattr(ScriptedGateway, _method.name, _make(_method.name))
