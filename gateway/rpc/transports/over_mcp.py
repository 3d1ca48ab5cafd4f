"""Calls the handlers in the same process for the tools of MCP, with the same guard as the other transports."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.mcp.port import FORECAST_INTERVAL, RefusedError
from gateway.rpc.call import Call
from gateway.rpc.chain import Chain
from gateway.rpc.errors import RpcError
from gateway.rpc.transports.over_grpc import method_name
from gateway.uploads.service import MAX_CHUNK_BYTES
from hfgateway.v1 import catalog_service_pb2 as catalog
from hfgateway.v1 import character_service_pb2 as character
from hfgateway.v1 import error_pb2, generation_pb2, upload_service_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_input_pb2 import GenerationInput, SoulVersion

A = TypeVar("A", bound=Message)
Headers = Mapping[str, str]
"""The headers of a request, by their names in lower case."""


class Method:
    """An RPC."""

    def __init__(self, service: ServiceDescriptor, method: MethodDescriptor, handlers: object, chain: Chain) -> None:
        self._guard = chain.guard(f"/{service.full_name}/{method.name}")
        self._unary = not method.client_streaming and not method.server_streaming
        self._output: type[Message] = GetMessageClass(method.output_type)
        self._handler: Any = getattr(handlers, method_name(method))

    async def call(self, request: Message | AsyncIterator[Message], headers: Headers) -> Any:
        """Call an RPC with a single response. Raises RefusedError."""
        async with self._entered(headers) as call:
            return self._decoded(await self._handler(request, call))

    async def stream(self, request: Message, headers: Headers) -> AsyncGenerator[Any, None]:
        """Call an RPC with a stream of responses. Raises RefusedError."""
        async with self._entered(headers) as call:
            call.start_waiting()
            async with aclosing(self._handler(request, call)) as responses:
                async for response in responses:
                    yield self._decoded(response)

    @asynccontextmanager
    async def _entered(self, headers: Headers) -> AsyncIterator[Call]:
        """The guard of one call. Raises RefusedError."""
        try:
            with self._guard() as entered:
                if self._unary:
                    entered.read_headers("mcp", headers.items)
                yield await entered.call(headers.get("authorization", ""), None, "mcp")
        except RpcError as error:
            raise _refused(error) from error

    def _decoded(self, response: Message | bytes) -> Message:
        """Return the response as a message."""
        return self._output.FromString(response) if isinstance(response, bytes) else response


def methods_by_name(served: Mapping[ServiceDescriptor, object], chain: Chain) -> dict[str, Method]:
    """Return all RPCs of services, which are given with their handlers."""
    return {
        method.name: Method(service, method, handlers, chain)
        for service, handlers in served.items()
        for method in service.methods
    }


class HandledPort:
    """Implements the port of the tools with the handlers of this process, for a request with these headers."""

    def __init__(self, methods: Mapping[str, Method], headers: Headers) -> None:
        self._methods = methods
        self._headers = headers

    async def submit(self, request: pb.SubmitGenerationRequest) -> pb.SubmitGenerationResponse:
        """SubmitGeneration."""
        return await self._call(pb.SubmitGenerationResponse, request)

    async def watch(
        self, generation: generation_pb2.Generation
    ) -> AsyncGenerator[generation_pb2.Generation | generation_pb2.Forecast, None]:
        """WatchGeneration, with forecasts."""
        request = pb.WatchGenerationRequest(id=generation.id, after_revision=generation.revision)
        request.forecast_interval.seconds = FORECAST_INTERVAL
        async with aclosing(self._methods["WatchGeneration"].stream(request, self._headers)) as responses:
            async for response in responses:
                if response.HasField("generation"):
                    yield response.generation
                elif response.HasField("forecast"):
                    yield response.forecast

    async def get(self, generation_id: str) -> generation_pb2.Generation:
        """GetGeneration."""
        return (await self._call(pb.GetGenerationResponse, pb.GetGenerationRequest(id=generation_id))).generation

    async def list(self, matching: pb.GenerationFilter, limit: int) -> Sequence[generation_pb2.Generation]:
        """ListGenerations."""
        return await self._pages(pb.ListGenerationsRequest(filter=matching), "generations", limit)

    async def cancel(self, generation_id: str) -> generation_pb2.Generation:
        """CancelGeneration."""
        return (await self._call(pb.CancelGenerationResponse, pb.CancelGenerationRequest(id=generation_id))).generation

    async def estimate(self, given: GenerationInput) -> pb.EstimateGenerationResponse:
        """EstimateGeneration."""
        return await self._call(pb.EstimateGenerationResponse, pb.EstimateGenerationRequest(input=given))

    async def list_models(self, query: str, kind: str, limit: int) -> Sequence[catalog.Model]:
        """ListModels."""
        request = catalog.ListModelsRequest(
            query=query, output_kind=generation_pb2.MediaKind.Value(kind or "MEDIA_KIND_UNSPECIFIED")
        )
        return await self._pages(request, "models", limit)

    async def get_model(self, model_id: str) -> catalog.Model:
        """GetModel."""
        return (await self._call(catalog.GetModelResponse, catalog.GetModelRequest(id=model_id))).model

    async def list_motions(self, query: str, limit: int) -> Sequence[catalog.Motion]:
        """ListMotions."""
        return await self._pages(catalog.ListMotionsRequest(query=query), "motions", limit)

    async def list_soul_styles(self, query: str, version: str, limit: int) -> Sequence[catalog.SoulStyle]:
        """ListSoulStyles."""
        request = catalog.ListSoulStylesRequest(query=query, version=SoulVersion.Value(version))
        return await self._pages(request, "soul_styles", limit)

    async def list_presets(self, model_id: str, query: str, limit: int) -> Sequence[catalog.Preset]:
        """ListPresets."""
        request = catalog.ListPresetsRequest(model_id=model_id, query=query)
        return await self._pages(request, "presets", limit)

    async def list_characters(self, limit: int) -> Sequence[character.SoulCharacter]:
        """ListCharacters."""
        return await self._pages(character.ListCharactersRequest(), "characters", limit)

    async def upload(self, media: bytes | Path, content_type: str) -> upload_service_pb2.UploadMediaResponse:
        """UploadMedia for bytes. Paths are not accepted: they would name files of the gateway's machine."""
        if isinstance(media, Path):
            raise TypeError("paths are not accepted: pass the bytes")
        return await self._call(upload_service_pb2.UploadMediaResponse, _parts(media, content_type))

    async def _pages(self, request: Any, field: str, limit: int) -> Sequence[Any]:
        """Return at most `limit` items of a list. A page may be shorter than requested."""
        found: list[Message] = []
        name = request.DESCRIPTOR.name.removesuffix("Request")
        request.page_size = limit
        while True:
            page = await self._methods[name].call(request, self._headers)
            found.extend(getattr(page, field))
            request.page_token = page.next_page_token
            if len(found) >= limit or not request.page_token:
                return found[:limit]

    async def _call(self, response: type[A], request: Message | AsyncIterator[Message]) -> A:
        """Call the RPC with this type of response."""
        name = response.DESCRIPTOR.name.removesuffix("Response")
        found: A = await self._methods[name].call(request, self._headers)
        return found


async def _parts(media: bytes, content_type: str) -> AsyncIterator[Message]:
    header = upload_service_pb2.UploadHeader(content_type=content_type, size=len(media))
    yield upload_service_pb2.UploadMediaRequest(header=header)
    for start in range(0, len(media), MAX_CHUNK_BYTES):
        yield upload_service_pb2.UploadMediaRequest(chunk=media[start : start + MAX_CHUNK_BYTES])


def _refused(error: RpcError) -> RefusedError:
    for detail in error.details:
        if isinstance(detail, error_pb2.Failure):
            return RefusedError(error.code.name, detail)
    # Of gRPC itself on the way from another replica, such as RESOURCE_EXHAUSTED.
    return RefusedError(error.code.name, error_pb2.Failure(message=error.message))
