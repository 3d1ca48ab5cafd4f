# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Models, motions, styles and presets: what a client can ask about them."""

from __future__ import annotations

from collections.abc import Generator

from hfgateway.v1 import catalog_service_pb2 as pb
from hfgateway.v1.catalog_service_pb2 import Model, Motion, Preset, SoulStyle
from hfgateway_client._sync.calls import Calls
from hfgateway_client.inputs import SoulVersionName, enum_name
from hfgateway_client.requests import MediaKindName


class CatalogMethods:
    """The part of a client that is about what there is to choose from."""

    _calls: Calls

    def list_models(
        self,
        query: str = "",
        *,
        output_kind: MediaKindName | None = None,
        include_schema: bool = False,
        page_size: int = 0,
    ) -> Generator[Model, None, None]:
        """All models whose id has ``query`` in it, by id; pages are fetched as they are needed.

        With ``include_schema`` each has the JSON Schema of its parameters, where it is known.
        """
        request = pb.ListModelsRequest(
            query=query,
            output_kind=enum_name("MEDIA_KIND", output_kind),
            include_schema=include_schema,
            page_size=page_size,
        )
        return self._calls.pages(self._calls.catalogs.ListModels, request, "models")

    def get_model(self, model_id: str) -> Model:
        """One model, with the JSON Schema of its parameters where it is known; `ModelUnknown` where it is not.

        That does not say that a submit to it would be refused.
        """
        response = self._calls.unary(self._calls.catalogs.GetModel, pb.GetModelRequest(id=model_id))
        model: Model = response.model
        return model

    def list_motions(self, query: str = "", *, page_size: int = 0) -> Generator[Motion, None, None]:
        """All motions for ``dop`` whose name has ``query`` in it, by name."""
        request = pb.ListMotionsRequest(query=query, page_size=page_size)
        return self._calls.pages(self._calls.catalogs.ListMotions, request, "motions")

    def list_soul_styles(
        self, query: str = "", *, version: SoulVersionName | None = None, page_size: int = 0
    ) -> Generator[SoulStyle, None, None]:
        """All styles of one version of Soul ("V1" unless given) whose name has ``query`` in it, by name."""
        request = pb.ListSoulStylesRequest(query=query, version=enum_name("SOUL_VERSION", version), page_size=page_size)
        return self._calls.pages(self._calls.catalogs.ListSoulStyles, request, "soul_styles")

    def list_presets(self, model_id: str, query: str = "", *, page_size: int = 0) -> Generator[Preset, None, None]:
        """All presets of a model whose name has ``query`` in it, by name; none for one without ``preset_id``."""
        request = pb.ListPresetsRequest(model_id=model_id, query=query, page_size=page_size)
        return self._calls.pages(self._calls.catalogs.ListPresets, request, "presets")
