"""gRPC server reflection: the services `grpc.reflection.v1` and `v1alpha`, which have the same messages.

Callers identify themselves as for any other RPC: with authentication on, reflection needs an API key.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection, reflection_pb2

from gateway.rpc.call import Call

V1ALPHA: ServiceDescriptor = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]


class ReflectionHandlers:
    """Describes the services with these names to clients of either version."""

    def __init__(self, services: Iterable[str]) -> None:
        self._answers = reflection.aio.ReflectionServicer(services, pool=_Pool())

    def server_reflection_info(self, requests: AsyncIterator[Message], _: Call) -> AsyncIterator[Message]:
        """Yield one response for each request."""
        responses: AsyncIterator[Message] = self._answers.ServerReflectionInfo(_as_v1alpha(requests), None)
        return responses


def v1() -> ServiceDescriptor:
    """Return the descriptor of `grpc.reflection.v1`, which the library lacks: v1alpha under another package name."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = _renamed(file.name), _renamed(file.package)
    for field in (field for message in file.message_type for field in message.field if field.type_name):
        field.type_name = _renamed(field.type_name)
    for method in file.service[0].method:
        method.input_type, method.output_type = _renamed(method.input_type), _renamed(method.output_type)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(file.name).services_by_name["ServerReflection"]


def _renamed(name: str) -> str:
    return name.replace("v1alpha", "v1")


async def _as_v1alpha(requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    async for request in requests:
        yield reflection_pb2.ServerReflectionRequest.FromString(request.SerializeToString())


class _Pool:
    """The default pool of descriptors. It also finds the files of methods, which the library's lookup does not."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - the pool's name
        """Return the file that defines a symbol. Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file
