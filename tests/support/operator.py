"""Actions of an operator: calls on the admin socket, and commands."""

from __future__ import annotations

from typing import Any

import grpc.aio

from gateway.process.private_sockets import admin_pointer
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from tests.app.command import Finished, environment, run
from tests.support.running import WAIT_TIMEOUT, Running


async def ask(running: Running, method: str, request: Any) -> Any:
    """Call a method of AdminService on the admin socket; return the response."""
    async with grpc.aio.insecure_channel(admin_pointer(running.store_path).read_text()) as channel:
        return await getattr(AdminServiceStub(channel), method)(request, timeout=WAIT_TIMEOUT)


async def refused(running: Running, method: str, request: Any) -> str:
    """Make a call that must fail; return the name of its gRPC code."""
    try:
        await ask(running, method, request)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    raise AssertionError("the call succeeded")


async def command(running: Running, *arguments: str) -> Finished:
    """Run `hfgateway` with these arguments as a process on the gateway's store."""
    variables = {"HFGATEWAY_STORE_URL": f"sqlite:///{running.store_path}"}
    return await run(*arguments, environment=environment(running.store_path.parent, variables))
