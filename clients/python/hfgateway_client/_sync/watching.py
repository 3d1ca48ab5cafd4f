# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Waits and watches that outlast their streams: drains, restarts and lost connections end a stream, not them."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing

from google.protobuf.duration_pb2 import Duration

from hfgateway.v1.generation_pb2 import Generation
from hfgateway.v1.generation_service_pb2 import (
    GenerationFilter,
    WaitGenerationRequest,
    WatchGenerationRequest,
    WatchGenerationsRequest,
)
from hfgateway_client._sync.calls import Calls, Outage
from hfgateway_client.cursor import WatchCursor
from hfgateway_client.errors import GatewayError
from hfgateway_client.events import WatchEvent
from hfgateway_client.requests import duration

# One WaitGeneration asks for so long: short enough for the proxies on the way, long enough to cost nothing.
_WAIT_STEP = 50.0


def wait(calls: Calls, generation_id: str, *, timeout: float | None) -> Generation:
    """The generation when it is done, or at the timeout as it is by then."""
    clock = calls.timers.clock
    deadline = math.inf if timeout is None else clock() + timeout
    while True:
        asked = clock()
        step = max(min(_WAIT_STEP, deadline - asked), 0.0)
        request = WaitGenerationRequest(id=generation_id, timeout=duration(step))
        response = calls.unary(calls.generations.WaitGeneration, request, extra=step)
        generation: Generation = response.generation
        answered = clock()
        if generation.done or answered >= deadline:
            return generation
        if answered - asked < step / 2:  # a gateway that drains answers early: do not press it
            calls.timers.sleep(calls.policy.first_delay)


def watch(
    calls: Calls, generation_id: str, *, after_revision: int, include_input: bool, timeout: float | None
) -> Generator[Generation, None, None]:
    """Every change after ``after_revision``, each once and in order, until it is done."""
    revision = after_revision

    def request() -> WatchGenerationRequest:
        return WatchGenerationRequest(id=generation_id, after_revision=revision, include_input=include_input)

    # Where the gateway ends it, nothing comes after the revision that we know.
    with closing(calls.resumed(calls.generations.WatchGeneration, request, timeout=timeout)) as messages:
        for message in messages:
            generation = message.generation
            if not message.HasField("generation") or generation.revision <= revision:
                continue
            revision = generation.revision
            yield generation
            if generation.done:
                return


def watch_many(
    calls: Calls,
    filter: GenerationFilter,
    *,
    resume_token: str,
    include_input: bool,
    forecast_interval: Duration | None,
    timeout: float | None,
) -> Generator[WatchEvent, None, None]:
    """The news of all generations that match, until those of ``filter.ids`` are done; else without end."""
    deadline = None if timeout is None else calls.timers.clock() + timeout
    outage = Outage(calls, patience=calls.policy.resume_watches_for, deadline=deadline)
    cursor = WatchCursor(resume_token)
    while True:
        request = WatchGenerationsRequest(
            filter=filter,
            resume_token=cursor.resume_token,
            include_input=include_input,
            forecast_interval=forecast_interval,
        )
        for event in cursor.stream_opened():
            yield event
        try:
            with closing(calls.stream(calls.generations.WatchGenerations, request, deadline=deadline)) as messages:
                for message in messages:
                    outage.over()
                    for event in cursor.received(message):
                        yield event
            return
        except GatewayError as error:
            if not outage.endure(error):
                raise
