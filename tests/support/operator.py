"""Actions of an operator: calls on the admin socket, and commands."""

from __future__ import annotations

from typing import Any

import grpc.aio

from gateway.serving import admin_pointer
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from tests.app.command import Finished, environment, run
from tests.support.running import PATIENCE, Running


async def ask(running: Running, method: str, request: Any) -> Any:
    """Call AdminService."""
    async with grpc.aio.insecure_channel(admin_pointer(running.store_path).read_text()) as channel:
        return await getattr(AdminServiceStub(channel), method)(request, timeout=PATIENCE)


async def refused(running: Running, method: str, request: Any) -> str:
    """Return the gRPC code with which a call is refused."""
    try:
        await ask(running, method, request)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    raise AssertionError("it was not refused")


async def command(running: Running, *arguments: str) -> Finished:
    """Run `hfgateway` as a process on the same store."""
    variables = {"HFGATEWAY_STORE_URL": f"sqlite:///{running.store_path}"}
    return await run(*arguments, environment=environment(running.store_path.parent, variables))
