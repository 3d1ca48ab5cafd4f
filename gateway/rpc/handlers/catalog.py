"""The handlers of CatalogService: pages of Higgsfield's catalogs, from the gateway's cache."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.struct_pb2 import Struct

from gateway.catalog.merged import Entry, Models
from gateway.catalog.model import Lifecycle, Model, Motion, Preset, SoulStyle
from gateway.catalog.service import Catalogs
from gateway.errors import invalid_field
from gateway.rpc.call import Call
from gateway.rpc.messages import wire
from gateway.rpc.messages.convert import require_text
from gateway.rpc.messages.pages import SortedPage
from hfgateway.v1 import catalog_service_pb2 as pb
from hfgateway.v1 import generation_input_pb2, generation_pb2

CATALOG_TIMEOUT = 5.0
"""Seconds for which a call waits for a catalog that was never fetched."""
SCHEMA_BATCH_SIZE = 10
"""Schemas that are converted before other tasks get a turn. Each takes most of a millisecond."""
T = TypeVar("T", Motion, SoulStyle, Preset)


class CatalogHandlers:
    """Handles the RPCs of the service, independent of the transport."""

    def __init__(self, catalogs: Catalogs) -> None:
        self._catalogs = catalogs
        self._structs: dict[str, tuple[Mapping[str, Any], Struct]] = {}
        """The schema of each model by its id, and the message that it was converted to."""

    async def list_models(self, request: pb.ListModelsRequest, call: Call) -> pb.ListModelsResponse:
        """Return a page of models, sorted by id."""
        if request.output_kind not in generation_pb2.MediaKind.values():
            raise invalid_field("output_kind", "is not a value this gateway knows")
        page: SortedPage[Entry] = SortedPage(request, lambda entry: (entry.model.id,))
        models = await self._models(call)
        kind, query, wall = int(request.output_kind), request.query.casefold(), self._catalogs.wall
        shown = [
            entry
            for entry in models.by_id.values()
            if kind in (0, entry.model.kind)
            and query in entry.model.id.casefold()
            and (request.include_gone or entry.lifecycle(wall) is not Lifecycle.GONE)
        ]
        if request.include_schema:
            await self._convert_schemas(page.of(shown))
        response = pb.ListModelsResponse()
        message = self._with_schema if request.include_schema else self._model_message
        response.next_page_token = page.fill(response.models, shown, message)
        if models.fetched is not None and any(
            model.provenance.origin == pb.MODEL_ORIGIN_LIVE for model in response.models
        ):
            response.MergeFrom(pb.ListModelsResponse(fetch_time=wire.timestamp(models.fetched.fetch_time)))
        return response

    async def get_model(self, request: pb.GetModelRequest, call: Call) -> pb.GetModelResponse:
        """Return a model with its schema."""
        model_id = require_text(request.id)
        models = await self._models(call)
        entry = models.get(model_id)
        listing = entry.model.listing
        fetch_time = None if listing is None else wire.timestamp(listing.last_seen)
        return pb.GetModelResponse(model=self._with_schema(entry), fetch_time=fetch_time)

    async def watch_models(
        self, request: pb.WatchModelsRequest, call: Call
    ) -> AsyncGenerator[pb.WatchModelsResponse, None]:
        """Stream the changes of Higgsfield's list of models."""
        after = request.after_revision if request.HasField("after_revision") else None
        if after is not None and after < 0:
            raise invalid_field("after_revision", "must not be negative")
        changes = self._catalogs.watches.watch(after, call.check)
        async with contextlib.aclosing(changes):
            async for revision, model in changes:
                message = pb.WatchModelsResponse(revision=revision)
                if model is not None and (listing := model.listing) is not None:
                    entry = (await self._models(call)).by_id.get(model.id) or Entry(model)
                    message.MergeFrom(
                        pb.WatchModelsResponse(
                            model=self._model_message(entry),
                            change=pb.ModelChange.ValueType(listing.change or 0),
                            details=listing.details,
                            time=wire.timestamp(listing.changed_at),
                        )
                    )
                yield message

    async def list_motions(self, request: pb.ListMotionsRequest, call: Call) -> pb.ListMotionsResponse:
        """Return a page of motions, sorted by name."""
        page: SortedPage[Motion] = SortedPage(request, _place)
        listed = await self._catalogs.motions(call.within_deadline(CATALOG_TIMEOUT))
        response = pb.ListMotionsResponse(fetch_time=wire.timestamp(listed.fetch_time))
        response.next_page_token = page.fill(response.motions, _matching(listed.items, request.query), _motion_message)
        return response

    async def list_soul_styles(self, request: pb.ListSoulStylesRequest, call: Call) -> pb.ListSoulStylesResponse:
        """Return a page of the styles of one version of Soul, sorted by name."""
        page: SortedPage[SoulStyle] = SortedPage(request, _place)
        if request.version not in generation_input_pb2.SoulVersion.values():
            raise invalid_field("version", "is not a value this gateway knows")
        if request.version == generation_input_pb2.SOUL_VERSION_CINEMA:
            raise invalid_field("version", "Soul Cinema has one fixed style, and none to choose from")
        soul_2 = request.version == generation_input_pb2.SOUL_VERSION_V2
        listed = await self._catalogs.soul_styles(call.within_deadline(CATALOG_TIMEOUT), soul_2=soul_2)
        response = pb.ListSoulStylesResponse(fetch_time=wire.timestamp(listed.fetch_time))
        response.next_page_token = page.fill(
            response.soul_styles, _matching(listed.items, request.query), _style_message
        )
        return response

    async def list_presets(self, request: pb.ListPresetsRequest, call: Call) -> pb.ListPresetsResponse:
        """Return a page of a model's presets, sorted by name."""
        page: SortedPage[Preset] = SortedPage(request, _place)
        listed = await self._catalogs.presets(
            require_text(request.model_id, "model_id"), call.within_deadline(CATALOG_TIMEOUT)
        )
        response = pb.ListPresetsResponse(fetch_time=wire.timestamp(listed.fetch_time))
        response.next_page_token = page.fill(response.presets, _matching(listed.items, request.query), _preset_message)
        return response

    async def _models(self, call: Call) -> Models:
        return await self._catalogs.models(call.within_deadline(CATALOG_TIMEOUT))

    async def _convert_schemas(self, entries: Sequence[Entry]) -> None:
        """Convert the schemas of the models on a page in advance, and give other tasks turns in between."""
        for number, entry in enumerate(entries, 1):
            self._struct(entry.model)
            if number % SCHEMA_BATCH_SIZE == 0:
                await asyncio.sleep(0)

    def _with_schema(self, entry: Entry) -> pb.Model:
        message = self._model_message(entry)
        if (schema := self._struct(entry.model)) is not None:
            message.parameters_schema.CopyFrom(schema)
        return message

    def _struct(self, model: Model) -> Struct | None:
        """Return the schema of a model as a message, converted once; None if it is not known."""
        if model.schema is None:
            return None
        known = self._structs.get(model.id)
        if known is None or known[0] is not model.schema:
            message = Struct()
            message.update(model.schema)
            known = self._structs[model.id] = model.schema, message
        return known[1]

    def _model_message(self, entry: Entry) -> pb.Model:
        """Return the message of a model without its schema."""
        model, known, listing = entry.model, entry.built_in, entry.model.listing
        return pb.Model(
            id=model.id,
            output_kind=generation_pb2.MediaKind.ValueType(model.kind),
            tasks=model.tasks,
            provenance=pb.ModelProvenance(
                origin=pb.ModelOrigin.ValueType(entry.origin),
                source="" if known is None else known.source,
                source_date="" if known is None else known.source_date,
                last_seen_time=None if listing is None else wire.timestamp(listing.last_seen),
            ),
            lifecycle=pb.ModelLifecycle.ValueType(entry.lifecycle(self._catalogs.wall)),
            end_time=None if known is None else wire.timestamp(known.ends),
            note="" if known is None else known.note,
        )


def _matching(items: Iterable[T], query: str) -> Iterator[T]:
    """Return the items whose name contains a text, in any case."""
    return (item for item in items if query.casefold() in item.name.casefold())


def _place(item: Motion | SoulStyle | Preset) -> tuple[str, str]:
    """Return the sort key of an item."""
    return item.name.casefold(), item.id


def _motion_message(motion: Motion) -> pb.Motion:
    return pb.Motion(
        id=motion.id,
        name=motion.name,
        description=motion.description,
        preview_url=motion.preview_url,
        start_end_frame=motion.start_end_frame,
    )


def _style_message(style: SoulStyle) -> pb.SoulStyle:
    return pb.SoulStyle(id=style.id, name=style.name, description=style.description, preview_url=style.preview_url)


def _preset_message(preset: Preset) -> pb.Preset:
    return pb.Preset(id=preset.id, name=preset.name, preview_url=preset.preview_url)
