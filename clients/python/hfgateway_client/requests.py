"""Builds the messages that the client sends from the arguments that a person writes: seconds, names, datetimes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from hfgateway.v1.character_service_pb2 import CreateCharacterRequest
from hfgateway.v1.generation_input_pb2 import GenerationInput
from hfgateway.v1.generation_service_pb2 import (
    GenerationFilter,
    SubmitGenerationRequest,
)
from hfgateway_client.inputs import SoulVersionName, enum_name

WaitForName = Literal["stored", "accepted", "done"]
MediaKindName = Literal["image", "video", "audio", "file"]
StateName = Literal["PENDING", "UNCERTAIN", "QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED", "NSFW", "CANCELED", "LOST"]


def new_idempotency_key() -> str:
    """A key for one generation that is meant; keep it for as long as you might ask again."""
    return str(uuid.uuid4())


def key(given: str | None) -> str:
    """The key that was given, else a new one: without a key, a repeat would be a second time."""
    return new_idempotency_key() if given is None else given


def submit_request(
    input: GenerationInput,
    *,
    idempotency_key: str | None,
    labels: Mapping[str, str] | None,
    wait_for: WaitForName | None,
    wait_timeout: float | None,
    start_timeout: float | None,
    fail_when_saturated: bool,
    outputs_ttl: float | None,
) -> SubmitGenerationRequest:
    """A submit, always with a key: a repeat without one would be a second generation."""
    return SubmitGenerationRequest(
        input=input,
        idempotency_key=key(idempotency_key),
        labels=labels or {},
        wait_for=f"WAIT_FOR_{wait_for or 'unspecified'}".upper(),
        wait_timeout=duration(wait_timeout),
        start_timeout=duration(start_timeout),
        fail_when_saturated=fail_when_saturated,
        outputs_ttl=duration(outputs_ttl),
    )


def create_character_request(
    name: str, image_urls: Iterable[str], *, version: SoulVersionName | None, idempotency_key: str | None
) -> CreateCharacterRequest:
    """A creation, always with a key: a repeat without one would be paid again."""
    return CreateCharacterRequest(
        name=name,
        image_urls=image_urls,
        version=enum_name("SOUL_VERSION", version),
        idempotency_key=key(idempotency_key),
    )


def generation_filter(
    *,
    ids: Iterable[str],
    states: Iterable[StateName] = (),
    model_ids: Iterable[str],
    labels: Mapping[str, str] | None,
    idempotency_key: str = "",
    created_after: datetime | None,
    created_before: datetime | None,
) -> GenerationFilter:
    """All that is set must match."""
    return GenerationFilter(
        ids=ids,
        states=[f"GENERATION_STATE_{state}" for state in states],
        model_ids=model_ids,
        labels=labels or {},
        idempotency_key=idempotency_key,
        created_after=timestamp(created_after),
        created_before=timestamp(created_before),
    )


def callback_filter(
    *, states: Iterable[StateName], model_ids: Iterable[str], labels: Mapping[str, str] | None
) -> GenerationFilter:
    """What a callback can be limited to."""
    return generation_filter(
        ids=(), states=states, model_ids=model_ids, labels=labels, created_after=None, created_before=None
    )


def duration(seconds: float | None) -> Duration | None:
    """None stays None: the field is absent then."""
    if seconds is None:
        return None
    message = Duration()
    message.FromMicroseconds(round(seconds * 1e6))
    return message


def timestamp(moment: datetime | None) -> Timestamp | None:
    """None stays None; a datetime without a zone would be taken for UTC without a word, so it is refused."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    message = Timestamp()
    message.FromDatetime(moment)
    return message
