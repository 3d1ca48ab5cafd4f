"""What the tools need of a gateway, whatever way they reach it, and how it says no."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol

from gateway.errors import Violation
from hfgateway.v1 import catalog_service_pb2 as catalog
from hfgateway.v1 import character_service_pb2 as character
from hfgateway.v1 import error_pb2, generation_pb2, generation_service_pb2, upload_service_pb2
from hfgateway.v1.generation_input_pb2 import GenerationInput


class RefusedError(Exception):
    """A call that was not carried out: the name of its gRPC code, and what the gateway told of it."""

    def __init__(self, code: str, failure: error_pb2.Failure) -> None:
        super().__init__(failure.message)
        self.code = code
        self.failure = failure

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed later, and does nothing twice."""
        return self.code == "UNAVAILABLE" or self.failure.retryable


class GatewayPort(Protocol):
    """A gateway, as one caller reaches it. Everything raises RefusedError."""

    async def submit(
        self, request: generation_service_pb2.SubmitGenerationRequest
    ) -> generation_service_pb2.SubmitGenerationResponse:
        """Submit under the request's key."""

    def watch(
        self, generation: generation_pb2.Generation
    ) -> AsyncGenerator[generation_pb2.Generation | generation_pb2.Forecast, None]:
        """Its changes from this revision on and newer forecasts in between; ends when it is done."""

    async def get(self, generation_id: str) -> generation_pb2.Generation:
        """As it is now."""

    async def list(
        self, matching: generation_service_pb2.GenerationFilter, limit: int
    ) -> Sequence[generation_pb2.Generation]:
        """The newest that match, so many at most."""

    async def cancel(self, generation_id: str) -> generation_pb2.Generation:
        """Cancel it."""

    async def estimate(self, given: GenerationInput) -> generation_service_pb2.EstimateGenerationResponse:
        """What it would cost."""

    async def list_models(self, query: str, kind: str, limit: int) -> Sequence[catalog.Model]:
        """Models whose id has `query` in it, by id, so many at most; `kind` is a MediaKind's name, or empty."""

    async def get_model(self, model_id: str) -> catalog.Model:
        """One model, with the schema of its parameters."""

    async def list_motions(self, query: str, limit: int) -> Sequence[catalog.Motion]:
        """Motions whose name has `query` in it, by name."""

    async def list_soul_styles(self, query: str, version: str, limit: int) -> Sequence[catalog.SoulStyle]:
        """Styles of a SoulVersion, by its name, whose own name has `query` in it, by name."""

    async def list_presets(self, model_id: str, query: str, limit: int) -> Sequence[catalog.Preset]:
        """Presets of a model whose name has `query` in it, by name."""

    async def list_characters(self, limit: int) -> Sequence[character.SoulCharacter]:
        """The newest characters, so many at most."""

    async def upload(self, media: bytes | Path, content_type: str) -> upload_service_pb2.UploadMediaResponse:
        """Put media on Higgsfield's storage."""


def invalid(wrong: Sequence[Violation]) -> RefusedError:
    """What the gateway says of wrong fields."""
    failure = error_pb2.Failure(
        reason=error_pb2.ERROR_REASON_INVALID_INPUT,
        message="; ".join(f"{one.field}: {one.description}" for one in wrong),
        field_violations=[error_pb2.FieldViolation(field=one.field, description=one.description) for one in wrong],
    )
    return RefusedError("INVALID_ARGUMENT", failure)
