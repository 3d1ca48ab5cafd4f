"""Methods and requests as bytes, so that neither the client nor the bare server spends time on messages."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from google.protobuf.struct_pb2 import Struct

from hfgateway.v1 import generation_input_pb2
from hfgateway.v1 import generation_service_pb2 as pb

_SERVICE = pb.DESCRIPTOR.services_by_name["GenerationService"].full_name
SUBMIT, GET, LIST, CANCEL, WATCH = (
    f"/{_SERVICE}/{name}"
    for name in ("SubmitGeneration", "GetGeneration", "ListGenerations", "CancelGeneration", "WatchGeneration")
)
WATCH_MANY = f"/{_SERVICE}/WatchGenerations"
KEEP, ANSWER, ECHO, PUBLISH, BARE_WATCH = (
    f"/Baseline/{name}" for name in ("Keep", "Answer", "Echo", "Publish", "Watch")
)

MODEL = "higgsfield-ai/soul/standard"
PROMPT = "a lighthouse in a storm, oil on canvas"
FIELDS: Mapping[str, Any] = {
    "aspect_ratio": "16:9",
    "resolution": "1080p",
    "batch_size": 1,
    "enhance_prompt": True,
    "seed": 42,
}


def model_submission(prompt: str = PROMPT) -> bytes:
    """Return a submission of a model input, without an idempotency key."""
    parameters = Struct()
    parameters.update({"prompt": prompt, **FIELDS})
    model = generation_input_pb2.ModelInput(model_id=MODEL, parameters=parameters)
    return _submission(generation_input_pb2.GenerationInput(model=model))


def soul_submission() -> bytes:
    """Return the same submission as a typed Soul input."""
    soul = generation_input_pb2.SoulInput(prompt=PROMPT, **FIELDS)
    return _submission(generation_input_pb2.GenerationInput(soul=soul))


def with_key(submission: bytes) -> bytes:
    """Append a new idempotency key: concatenated protobuf messages merge into one."""
    key: bytes = pb.SubmitGenerationRequest(idempotency_key=str(uuid4())).SerializeToString()
    return submission + key


async def get_request(submit: Any, submission: bytes | None = None) -> bytes:
    """Submit a generation by a unary method, and return a request of Get for it."""
    answer = await submit(with_key(submission or model_submission()))
    name = pb.SubmitGenerationResponse.FromString(answer).generation.id
    request: bytes = pb.GetGenerationRequest(id=name).SerializeToString()
    return request


def _submission(given: generation_input_pb2.GenerationInput) -> bytes:
    content: bytes = pb.SubmitGenerationRequest(input=given).SerializeToString()
    return content
