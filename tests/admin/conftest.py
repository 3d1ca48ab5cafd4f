"""A gateway whose lost answers stay lost, and its operator's socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from gateway.generations import due_steps
from gateway.serving import admin_pointer
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Generation, Running, run, soul

Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Start one; the terms are those of `run`."""
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.0)
    async with AsyncExitStack() as stack:

        async def start_one(**terms: Any) -> Running:
            return await stack.enter_async_context(run(tmp_path, **({"UPSTREAM_IDEMPOTENCY": "off"} | terms)))

        yield start_one


@pytest.fixture
async def running(start: Start) -> Running:
    """One with the usual terms."""
    return await start()


async def resolve(running: Running, generation_id: str, **resolution: Any) -> Generation:
    """Resolve, as the operator."""
    async with grpc.aio.insecure_channel(admin_pointer(running.store_path).read_text()) as channel:
        request = admin_pb.ResolveGenerationRequest(id=generation_id, **resolution)
        answer: admin_pb.ResolveGenerationResponse = await AdminServiceStub(channel).ResolveGeneration(request)
        return answer.generation


async def lost(running: Running, prompt: str, *, processed: bool = True) -> Generation:
    """One whose answer was lost, and whether Higgsfield took it all the same."""
    running.plan(on="submit", kind="500", processed=processed, prompt=prompt)
    stored = await running.submit(soul(prompt, wait_for=pb.WAIT_FOR_STORED, labels={"of": prompt.replace(" ", "-")}))
    await running.until(stored.id, "UNCERTAIN")
    return await running.get(stored.id)


def request_of(running: Running, prompt: str) -> str:
    """The request that Higgsfield made of this prompt."""
    return next(one.request_id for one in running.ledger.charges if one.prompt == prompt)
