# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Catalogs: models, motions, styles and presets."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from hfgateway.v1 import catalog_service_pb2 as pb
from hfgateway.v1.catalog_service_pb2 import Model, Motion, Preset, SoulStyle
from hfgateway.v1.generation_input_pb2 import SoulVersion
from hfgateway.v1.generation_pb2 import MediaKind
from hfgateway_client._sync.calls import Calls
from hfgateway_client.inputs import SoulVersionName, enum_value
from hfgateway_client.requests import MediaKindName


class CatalogMethods:
    """The methods for catalogs."""

    _calls: Calls

    def list_models(
        self,
        query: str = "",
        *,
        output_kind: MediaKindName | None = None,
        include_schema: bool = False,
        include_gone: bool = False,
        page_size: int = 0,
    ) -> Generator[Model, None, None]:
        """Iterate over models, sorted by id.

        Args:
            query: Only models whose id contains this text, regardless of case. Default: all.
            output_kind: Only models that generate this kind: "image", "video", "audio" or "file". Default: all.
            include_schema: Whether to return the JSON Schema of the parameters, if it is known.
            include_gone: Whether to return models that are probably gone, too.
        """
        return self._calls.pages(
            pb.ListModelsRequest(
                query=query,
                output_kind=enum_value(MediaKind, output_kind),
                include_schema=include_schema,
                include_gone=include_gone,
                page_size=page_size,
            ),
            "models",
        )

    def watch_models(
        self, *, after_revision: int | None = None, timeout: float | None = None
    ) -> Generator[pb.WatchModelsResponse, None]:
        """Iterate over changes of Higgsfield's list of models: models that are new, changed or gone.

        Args:
            after_revision: Start after the change with this ``revision``; 0 is before the first change. Default: only
                future changes.
            timeout: The timeout of the whole watch in seconds. Default: no limit.

        Yields:
            Each change with its ``model``, ``change``, ``details``, ``time`` and ``revision``.

        Raises:
            InvalidInput: ``after_revision`` is negative.
        """
        request = pb.WatchModelsRequest(after_revision=after_revision)
        with closing(self._calls.resumed(request, timeout)) as messages:
            for message in messages:
                request.after_revision = message.revision
                if message.HasField("model"):
                    yield message

    def get_model(self, model_id: str) -> Model:
        """Return a model, with the JSON Schema of its parameters if it is known.

        Raises:
            ModelUnknown: The model is not in the list. ``submit`` may accept it nevertheless.
        """
        return (self._calls.unary(pb.GetModelRequest(id=model_id))).model

    def list_motions(self, query: str = "", *, page_size: int = 0) -> Generator[Motion, None, None]:
        """Iterate over the motions for `dop`, sorted by name.

        Args:
            query: Only motions whose name contains this text, regardless of case. Default: all.
        """
        return self._calls.pages(pb.ListMotionsRequest(query=query, page_size=page_size), "motions")

    def list_soul_styles(
        self, query: str = "", *, version: SoulVersionName | None = None, page_size: int = 0
    ) -> Generator[SoulStyle, None, None]:
        """Iterate over the styles for `soul`, sorted by name.

        Args:
            query: Only styles whose name contains this text, regardless of case. Default: all.
            version: The version of Soul: "v1" or "v2". Default: "v1".

        Raises:
            InvalidInput: The version has no styles to choose from.
        """
        return self._calls.pages(
            pb.ListSoulStylesRequest(query=query, version=enum_value(SoulVersion, version), page_size=page_size),
            "soul_styles",
        )

    def list_presets(self, model_id: str, query: str = "", *, page_size: int = 0) -> Generator[Preset, None, None]:
        """Iterate over the presets of a model, sorted by name.

        A model without a parameter ``preset_id`` has no presets.

        Args:
            query: Only presets whose name contains this text, regardless of case. Default: all.

        Raises:
            ModelUnknown: The model is not in the list of models.
        """
        return self._calls.pages(pb.ListPresetsRequest(model_id=model_id, query=query, page_size=page_size), "presets")
