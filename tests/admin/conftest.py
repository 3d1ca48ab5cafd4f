"""A gateway that does not retry submissions whose response was lost, and calls on its admin socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from gateway.generations import due_steps
from gateway.process.private_sockets import admin_pointer
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Generation, Running, Start, soul, starting


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Return a function that starts a gateway; it takes the arguments of `run`."""
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.0)
    async with starting(tmp_path, UPSTREAM_IDEMPOTENCY="off") as start:
        yield start


@pytest.fixture
async def running(start: Start) -> Running:
    """A gateway with the default settings."""
    return await start()


async def resolve(running: Running, generation_id: str, **resolution: Any) -> Generation:
    """Call ResolveGeneration on the admin socket."""
    async with grpc.aio.insecure_channel(admin_pointer(running.store_path).read_text()) as channel:
        request = admin_pb.ResolveGenerationRequest(id=generation_id, **resolution)
        answer: admin_pb.ResolveGenerationResponse = await AdminServiceStub(channel).ResolveGeneration(request)
        return answer.generation


async def submit_and_lose(running: Running, prompt: str, *, processed: bool = True) -> Generation:
    """Submit, lose Higgsfield's response, and return the UNCERTAIN generation.

    `processed` says whether Higgsfield has accepted the submission.
    """
    running.plan(on="submit", kind="500", processed=processed, prompt=prompt)
    stored = await running.submit(soul(prompt, wait_for=pb.WAIT_FOR_STORED, labels={"of": prompt.replace(" ", "-")}))
    await running.until(stored.id, "UNCERTAIN")
    return await running.get(stored.id)
