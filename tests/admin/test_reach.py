"""The operator's service is reachable by the gateway's user through a socket, and not on the public ports."""

from __future__ import annotations

import socket
import stat
import tempfile
from pathlib import Path

import aiohttp
import grpc.aio
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway.process.private_sockets import admin_pointer
from gateway.rpc.services import ADMIN_SERVICE, GENERATION_SERVICE
from gateway.settings.values import PostgresUrl
from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from tests.admin.conftest import Start
from tests.support.addresses import free_address
from tests.support.running import Running, eventually, public_url


async def test_the_socket_is_in_a_private_folder_and_removed_with_the_gateway(running: Running) -> None:
    pointer = admin_pointer(running.store_path)
    path = Path(pointer.read_text().removeprefix("unix:"))
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(pointer.stat().st_mode) == 0o600
    await running.stop_gateway()
    assert not pointer.exists()
    assert not path.parent.exists()


async def test_the_address_of_the_socket_is_replaced_atomically(running: Running) -> None:
    pointer = admin_pointer(running.store_path)
    await running.stop_gateway()
    pointer.write_text("unix:of-one-that-was-killed")
    same_file = pointer.with_name("same-file")
    same_file.hardlink_to(pointer)
    await running.start_gateway()
    assert pointer.read_text() != "unix:of-one-that-was-killed"
    # A concurrent reader would have found the old address, never an empty file.
    assert same_file.read_text() == "unix:of-one-that-was-killed"


async def test_a_start_removes_the_sockets_and_the_folder_of_a_gateway_that_was_killed(running: Running) -> None:
    used = Path(admin_pointer(running.store_path).read_text().removeprefix("unix:"))
    names = [path.name for path in used.parent.iterdir()]
    assert len(names) == 2
    await running.stop_gateway()
    with tempfile.TemporaryDirectory() as left:
        old = Path(left, "folder", used.name)
        old.parent.mkdir()
        for name in names:
            with socket.socket(socket.AF_UNIX) as gone:
                gone.bind(str(old.with_name(name)))
        admin_pointer(running.store_path).write_text(f"unix:{old}")
        await running.start_gateway()
        assert not old.parent.exists()


async def test_a_start_removes_nothing_but_a_socket(running: Running) -> None:
    await running.stop_gateway()
    admin_pointer(running.store_path).write_text(f"unix:{running.store_path}")
    await running.start_gateway()
    assert running.store_path.exists()


async def test_the_grpc_port_neither_serves_nor_lists_the_admin_service(running: Running) -> None:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await AdminServiceStub(channel).ResolveGeneration(admin_pb.ResolveGenerationRequest(id="x", lost={}))
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        served = [service.name async for answer in call for service in answer.list_services_response.service]
        assert GENERATION_SERVICE.full_name in served
        assert ADMIN_SERVICE.full_name not in served


async def test_http_and_webhook_ports_do_not_serve_the_admin_service(start: Start) -> None:
    webhooks = free_address()
    running = await start(**(public_url() | {"WEBHOOK_ADDRESS": webhooks}))
    path = f"/{ADMIN_SERVICE.full_name}/ResolveGeneration"
    for address in (running.gateway.http_address, f"http://{webhooks}"):
        for kind in ("application/json", "application/proto", "application/grpc-web+proto"):
            async with (
                aiohttp.ClientSession() as session,
                session.post(address + path, data=b"{}", headers={"Content-Type": kind}) as answer,
            ):
                assert answer.status == 404


async def test_the_socket_serves_only_the_admin_service(running: Running) -> None:
    async with grpc.aio.insecure_channel(admin_pointer(running.store_path).read_text()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await GenerationServiceStub(channel).ListGenerations(pb.ListGenerationsRequest())
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_gateway_serves_although_the_address_of_the_socket_cannot_be_written(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """With a store on PostgreSQL, the disk may be read-only."""
    pointer = admin_pointer(running.store_path)
    await running.stop_gateway()
    pointer.mkdir()
    await running.start_gateway()
    assert "the file with the address of the operator's socket cannot be written; will retry" in caplog.messages
    await running.transports["grpc"].call("ListGenerations", pb.ListGenerationsRequest())
    await running.stop_gateway()
    await running.start_gateway()
    pointer.rmdir()
    await eventually(pointer.is_file)


@pytest.mark.parametrize("other", ["host=/run/b", "host=/run/a&port=5433", "host=/run/a&dbname=b", "service=b", ""])
def test_databases_that_only_parameters_distinguish_have_their_own_sockets(other: str) -> None:
    """A command for one of them must not act on the other."""
    url = "postgresql://hfgateway@/hfgateway"
    pointer = admin_pointer(PostgresUrl(f"{url}?host=/run/a"))
    assert admin_pointer(PostgresUrl(f"{url}?{other}")) != pointer
    assert admin_pointer(PostgresUrl(f"{url}?sslmode=require&host=/run/a")) == pointer
