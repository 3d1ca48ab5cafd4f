"""Builds request messages from the arguments of the client's methods: seconds, names and datetimes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from hfgateway.v1.generation_pb2 import GenerationState
from hfgateway.v1.generation_service_pb2 import GenerationFilter
from hfgateway_client.inputs import enum_value

WaitForName = Literal["stored", "accepted", "done"]
"""When ``submit`` returns: once the gateway has stored the generation, once Higgsfield has accepted or refused it, or
once it has ended."""
MediaKindName = Literal["image", "video", "audio", "file"]
"""The kind of a model's output."""
StateName = Literal["PENDING", "UNCERTAIN", "QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED", "NSFW", "CANCELED", "LOST"]
"""The state of a generation."""


def new_idempotency_key() -> str:
    """Return a new idempotency key, a random UUID.

    Use one key for each generation, character, callback, session or message that you want to create. Store it for as
    long as you may retry the call.
    """
    return str(uuid.uuid4())


def key_or_new(idempotency_key: str | None) -> str:
    """Return the given key, or a new one, so that a retry has no second effect."""
    return new_idempotency_key() if idempotency_key is None else idempotency_key


def several(values: Iterable[Any]) -> Iterable[Any]:
    """Return the values. A str is one of them: its characters would select nothing."""
    return (values,) if isinstance(values, str) else values


def generation_filter(
    *,
    ids: Iterable[str] = (),
    states: Iterable[StateName] = (),
    model_ids: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
    idempotency_key: str = "",
    upstream_request_ids: Iterable[str] = (),
    created_after: datetime | None = None,
    created_before: datetime | None = None,
) -> GenerationFilter:
    """Build a filter. A generation must match all fields that are set.

    Raises:
        ValueError: A state is unknown, or a datetime has no time zone.
    """
    return GenerationFilter(
        ids=several(ids),
        states=[enum_value(GenerationState, state) for state in several(states)],
        model_ids=several(model_ids),
        labels=labels or {},
        idempotency_key=idempotency_key,
        upstream_request_ids=several(upstream_request_ids),
        created_after=timestamp(created_after),
        created_before=timestamp(created_before),
    )


def duration(seconds: float | None) -> Duration | None:
    """Convert seconds; None stays None, which leaves the field out of a message."""
    if seconds is None:
        return None
    message = Duration()
    message.FromMicroseconds(round(seconds * 1e6))
    return message


def timestamp(time: datetime | None) -> Timestamp | None:
    """Convert a datetime; None stays None, which leaves the field out of a message.

    Raises:
        ValueError: The datetime has no time zone. Protobuf would silently interpret it as UTC.
    """
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError(f"the datetime {time} has no time zone")
    message = Timestamp()
    message.FromDatetime(time)
    return message
