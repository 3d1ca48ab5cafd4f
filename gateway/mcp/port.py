"""The port through which the tools call a gateway, and the error of a refused call."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol

from gateway.errors import Violation
from hfgateway.v1 import catalog_service_pb2 as catalog
from hfgateway.v1 import character_service_pb2 as character
from hfgateway.v1 import error_pb2, generation_pb2, generation_service_pb2, upload_service_pb2
from hfgateway.v1.generation_input_pb2 import GenerationInput

FORECAST_INTERVAL = 2
"""Seconds between the forecasts of `GatewayPort.watch`."""


class RefusedError(Exception):
    """A call was refused or failed. `code` is the name of its gRPC code, `failure` the details from the gateway."""

    def __init__(self, code: str, failure: error_pb2.Failure) -> None:
        super().__init__(failure.message)
        self.code = code
        self.failure = failure

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later. Repeating it does nothing twice."""
        return self.code == "UNAVAILABLE" or self.failure.retryable


class GatewayPort(Protocol):
    """A gateway, with the credentials of one caller. All methods raise RefusedError."""

    async def submit(
        self, request: generation_service_pb2.SubmitGenerationRequest
    ) -> generation_service_pb2.SubmitGenerationResponse:
        """Submit a generation with the key of the request."""

    def watch(
        self, generation: generation_pb2.Generation
    ) -> AsyncGenerator[generation_pb2.Generation | generation_pb2.Forecast, None]:
        """Stream the changes after this revision, and new forecasts, until the generation is done."""

    async def get(self, generation_id: str) -> generation_pb2.Generation:
        """Return the current state of a generation."""

    async def list(
        self, matching: generation_service_pb2.GenerationFilter, limit: int
    ) -> Sequence[generation_pb2.Generation]:
        """Return the newest generations that match, at most `limit`."""

    async def cancel(self, generation_id: str) -> generation_pb2.Generation:
        """Cancel a generation, and return it."""

    async def estimate(self, given: GenerationInput) -> generation_service_pb2.EstimateGenerationResponse:
        """Estimate the cost of an input."""

    async def list_models(self, query: str, kind: str, limit: int) -> Sequence[catalog.Model]:
        """Return at most `limit` models whose id contains `query`, by id. `kind`: the name of a MediaKind, or empty."""

    async def get_model(self, model_id: str) -> catalog.Model:
        """Return a model with the schema of its parameters."""

    async def list_motions(self, query: str, limit: int) -> Sequence[catalog.Motion]:
        """Return at most `limit` motions whose name contains `query`, by name."""

    async def list_soul_styles(self, query: str, version: str, limit: int) -> Sequence[catalog.SoulStyle]:
        """Return at most `limit` styles whose name contains `query`, by name. `version`: the name of a SoulVersion."""

    async def list_presets(self, model_id: str, query: str, limit: int) -> Sequence[catalog.Preset]:
        """Return at most `limit` presets of a model whose name contains `query`, by name."""

    async def list_characters(self, limit: int) -> Sequence[character.SoulCharacter]:
        """Return the newest characters, at most `limit`."""

    async def upload(self, media: bytes | Path, content_type: str) -> upload_service_pb2.UploadMediaResponse:
        """Upload media to Higgsfield's storage."""


def invalid(wrong: Sequence[Violation]) -> RefusedError:
    """Return the error for invalid fields, in the form in which the gateway reports it."""
    failure = error_pb2.Failure(
        reason=error_pb2.ERROR_REASON_INVALID_INPUT,
        message="; ".join(f"{violation.field}: {violation.description}" for violation in wrong),
        field_violations=[
            error_pb2.FieldViolation(field=violation.field, description=violation.description) for violation in wrong
        ],
    )
    return RefusedError("INVALID_ARGUMENT", failure)
