"""`hfgateway mcp`: serves the MCP tools over stdio, for a running gateway."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli import exit_codes
from gateway.cli.connection import Connection, client_options
from gateway.cli.output import fail
from gateway.settings.extras import lacks, missing

if TYPE_CHECKING:
    from hfgateway.v1 import catalog_service_pb2 as catalog
    from hfgateway.v1 import character_service_pb2 as character
    from hfgateway.v1 import generation_service_pb2 as pb
    from hfgateway.v1.generation_pb2 import Forecast, Generation
    from hfgateway.v1.upload_service_pb2 import UploadMediaResponse
    from hfgateway_client import AsyncClient, GenerationInput

MISSING = f"this command {missing('mcp')}"
_T = TypeVar("_T")
_RETRY_TIMEOUT = 10.0
"""Seconds for which a call is repeated if the gateway does not respond. The MCP client has its own time limits."""


@click.command()
@click.option(
    "--files",
    "folders",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Allow uploads of media below this folder. May be repeated. Without this option, no file is read.",
)
@client_options
def mcp(*, connection: Connection, folders: tuple[Path, ...]) -> None:
    """Serve the gateway's tools to an MCP client, over standard input and output."""
    import asyncio

    # The library reads standard input in a thread, for which a canceled task waits: until the next line.
    signal.signal(signal.SIGINT, lambda *_: os._exit(exit_codes.INTERRUPTED))
    try:
        asyncio.run(_serve(connection, folders))
    except ModuleNotFoundError as error:
        if not lacks(error, "mcp", "mcp_types"):
            raise
        fail(MISSING, exit_codes.USAGE)


async def _serve(connection: Connection, folders: tuple[Path, ...]) -> None:
    import asyncio

    from mcp.server.stdio import stdio_server

    from gateway.mcp.files import Files
    from gateway.mcp.server import mcp_server
    from gateway.mcp.tools import all_tools
    from hfgateway_client import AsyncClient, RetryPolicy

    retry = RetryPolicy(repeat_calls_for=_RETRY_TIMEOUT)
    async with AsyncClient(connection.address, **connection.options, retry=retry) as client:
        port = ClientPort(client)
        server = mcp_server(all_tools(Files(folders) if folders else None), lambda _: port)
        async with stdio_server() as (reading, writing):
            try:
                await server.run(reading, writing, server.create_initialization_options())
            except asyncio.CancelledError:
                # The output cannot be written. Its error is raised only when the thread has read a line.
                os._exit(exit_codes.OUTPUT_NOT_WRITTEN)


class ClientPort:
    """Implements `GatewayPort` with the Python client, which repeats calls and resumes watches."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def submit(self, request: pb.SubmitGenerationRequest) -> pb.SubmitGenerationResponse:
        from hfgateway.v1 import generation_service_pb2 as pb

        start_timeout = request.start_timeout.ToMicroseconds() / 1e6 if request.HasField("start_timeout") else None
        with _refusals():
            submission = await self._client.submit(
                request.input,
                idempotency_key=request.idempotency_key,
                labels=request.labels,
                wait_for="stored",
                start_timeout=start_timeout,
            )
        return pb.SubmitGenerationResponse(
            generation=submission.generation, replayed=submission.replayed, warnings=submission.warnings
        )

    async def watch(self, generation: Generation) -> AsyncGenerator[Generation | Forecast, None]:
        from gateway.mcp.port import FORECAST_INTERVAL
        from hfgateway_client import ForecastsChanged, GenerationChanged

        events = self._client.watch_many(ids=[generation.id], forecast_interval=FORECAST_INTERVAL)
        with _refusals():
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, GenerationChanged) and event.generation.revision > generation.revision:
                        yield event.generation
                    elif isinstance(event, ForecastsChanged) and generation.id in event.forecasts:
                        yield event.forecasts[generation.id]

    async def get(self, generation_id: str) -> Generation:
        with _refusals():
            return await self._client.get(generation_id)

    async def list(self, matching: pb.GenerationFilter, limit: int) -> Sequence[Generation]:
        from hfgateway.v1.generation_pb2 import GenerationState

        names = [GenerationState.Name(state).removeprefix("GENERATION_STATE_") for state in matching.states]
        after = matching.created_after.ToDatetime(tzinfo=UTC) if matching.HasField("created_after") else None
        before = matching.created_before.ToDatetime(tzinfo=UTC) if matching.HasField("created_before") else None
        generations = self._client.list(
            ids=matching.ids,
            states=names,  # type: ignore[arg-type]  # these are the literals of the states
            model_ids=matching.model_ids,
            labels=matching.labels,
            idempotency_key=matching.idempotency_key,
            upstream_request_ids=matching.upstream_request_ids,
            created_after=after,
            created_before=before,
            page_size=limit,
        )
        return await _first(limit, generations)

    async def cancel(self, generation_id: str) -> Generation:
        with _refusals():
            return await self._client.cancel(generation_id)

    async def estimate(self, given: GenerationInput) -> pb.EstimateGenerationResponse:
        with _refusals():
            return await self._client.estimate(given)

    async def list_models(self, query: str, kind: str, limit: int) -> Sequence[catalog.Model]:
        name: Any = kind.removeprefix("MEDIA_KIND_").lower() or None
        return await _first(limit, self._client.list_models(query, output_kind=name, page_size=limit))

    async def get_model(self, model_id: str) -> catalog.Model:
        with _refusals():
            return await self._client.get_model(model_id)

    async def list_motions(self, query: str, limit: int) -> Sequence[catalog.Motion]:
        return await _first(limit, self._client.list_motions(query, page_size=limit))

    async def list_soul_styles(self, query: str, version: str, limit: int) -> Sequence[catalog.SoulStyle]:
        name: Any = version.removeprefix("SOUL_VERSION_").lower()
        return await _first(limit, self._client.list_soul_styles(query, version=name, page_size=limit))

    async def list_presets(self, model_id: str, query: str, limit: int) -> Sequence[catalog.Preset]:
        return await _first(limit, self._client.list_presets(model_id, query, page_size=limit))

    async def list_characters(self, limit: int) -> Sequence[character.SoulCharacter]:
        return await _first(limit, self._client.list_characters(page_size=limit))

    async def upload(self, media: bytes | Path, content_type: str) -> UploadMediaResponse:
        with _refusals():
            return await self._client.upload(media, content_type)


async def _first(limit: int, items: AsyncGenerator[_T, None]) -> list[_T]:
    found: list[_T] = []
    with _refusals():
        async with aclosing(items):
            async for item in items:
                found.append(item)
                if len(found) == limit:
                    break
    return found


@contextmanager
def _refusals() -> Iterator[None]:
    """Translate the client's errors to RefusedError."""
    from gateway.mcp.port import RefusedError
    from hfgateway.v1 import error_pb2
    from hfgateway_client import GatewayError

    try:
        yield
    except GatewayError as error:
        failure = error_pb2.Failure(message=error.message)
        failure.MergeFrom(error.failure)
        raise RefusedError("" if error.code is None else error.code.name, failure) from None
