"""The Python client of Higgsfield Gateway: `Client`, and `AsyncClient` for asyncio.

    from hfgateway_client import Client, soul

    with Client() as client:
        generation = client.generate(soul("a lighthouse at dusk"))
        print(generation.outputs[0].url)

A submission is charged at most once, even if it is retried after a lost response. A watch resumes after a lost
connection or a restart of the gateway.

Errors are subclasses of `GatewayError`; see `hfgateway_client.errors`. All times are in seconds.
"""

from hfgateway.v1.catalog_service_pb2 import (
    Model,
    ModelChange,
    ModelLifecycle,
    ModelOrigin,
    Motion,
    Preset,
    SoulStyle,
    WatchModelsResponse,
)
from hfgateway.v1.character_service_pb2 import CharacterState, SoulCharacter
from hfgateway.v1.generation_input_pb2 import GenerationInput
from hfgateway.v1.generation_pb2 import Forecast, Generation, GenerationState, MediaKind, Output
from hfgateway_client import agents, errors, events
from hfgateway_client._async.client import AsyncClient
from hfgateway_client._sync.client import Client
from hfgateway_client._version import __version__
from hfgateway_client.channel import TlsConfig
from hfgateway_client.errors import GatewayError, GenerationFailed, TrainingFailed
from hfgateway_client.events import (
    CaughtUp,
    ForecastsChanged,
    GenerationChanged,
    MissingGenerations,
    Reset,
    WatchEvent,
)
from hfgateway_client.inputs import AnyInput, LocalInput, dop, model, soul, speak
from hfgateway_client.requests import new_idempotency_key
from hfgateway_client.retry import RetryPolicy
from hfgateway_client.status import character_state_name, error_from_generation, state_name
from hfgateway_client.submission import CreatedCallback, CreatedCharacter, Submission
from hfgateway_client.uploads import LocalMedia, UploadSource
from hfgateway_client.webhooks import WebhookError, verify_webhook

__all__ = [
    "AnyInput",
    "AsyncClient",
    "CaughtUp",
    "CharacterState",
    "Client",
    "CreatedCallback",
    "CreatedCharacter",
    "Forecast",
    "ForecastsChanged",
    "GatewayError",
    "Generation",
    "GenerationChanged",
    "GenerationFailed",
    "GenerationInput",
    "GenerationState",
    "LocalInput",
    "LocalMedia",
    "MediaKind",
    "MissingGenerations",
    "Model",
    "ModelChange",
    "ModelLifecycle",
    "ModelOrigin",
    "Motion",
    "Output",
    "Preset",
    "Reset",
    "RetryPolicy",
    "SoulCharacter",
    "SoulStyle",
    "Submission",
    "TlsConfig",
    "TrainingFailed",
    "UploadSource",
    "WatchEvent",
    "WatchModelsResponse",
    "WebhookError",
    "__version__",
    "agents",
    "character_state_name",
    "dop",
    "error_from_generation",
    "errors",
    "events",
    "model",
    "new_idempotency_key",
    "soul",
    "speak",
    "state_name",
    "verify_webhook",
]
