"""Server reflection in both versions, for generic clients such as grpcurl."""

from __future__ import annotations

from pathlib import Path

import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from tests.support.running import Running, run
from tests.support.transports import SERVICE

REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


@pytest.mark.parametrize("service", REFLECTION)
async def test_reflection_lists_services_and_describes_them_and_their_methods(running: Running, service: str) -> None:
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        listed, described, of_a_method, unknown = await reflect(
            channel,
            service,
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE.full_name),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"{SERVICE.full_name}.WatchGeneration"),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"{SERVICE.full_name}.NoSuchMethod"),
        )
    assert {SERVICE.full_name, *REFLECTION} <= {one.name for one in listed.list_services_response.service}
    for answer in (described, of_a_method):
        files = map(FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
        assert SERVICE.file.name in {file.name for file in files}
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("service", REFLECTION)
async def test_reflection_requires_a_key_if_authentication_is_on(tmp_path: Path, service: str) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with (
        run(tmp_path, AUTH="keys") as running,
        grpc.aio.insecure_channel(running.gateway.grpc_address) as channel,
    ):
        key = await running.key("team-a")
        # Without a request: grpc.aio reports INTERNAL if the refusal arrives while the client is sending one.
        refused = channel.stream_stream(f"/{service}/ServerReflectionInfo")(timeout=30)
        assert await refused.code() is grpc.StatusCode.UNAUTHENTICATED
        (listed,) = await reflect(channel, service, request, metadata=(("authorization", f"Bearer {key}"),))
    assert SERVICE.full_name in {one.name for one in listed.list_services_response.service}


async def reflect(
    channel: grpc.aio.Channel,
    service: str,
    *requests: reflection_pb2.ServerReflectionRequest,
    metadata: tuple[tuple[str, str], ...] = (),
) -> list[reflection_pb2.ServerReflectionResponse]:
    call = channel.stream_stream(
        f"/{service}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return [answer async for answer in call(iter(requests), metadata=metadata, timeout=30)]
