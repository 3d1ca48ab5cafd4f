# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Waits and watches of generations. They resume after lost connections and restarts of the gateway."""

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

# The longest wait of one call, in seconds: shorter than the usual timeouts of proxies, and long enough to cost little.
_WAIT_STEP = 50.0


def wait(calls: Calls, generation_id: str, *, timeout: float | None) -> Generation:
    """Return the generation when it has ended, or at the timeout as it is."""
    clock = calls.timers.clock
    deadline = math.inf if timeout is None else clock() + timeout
    while True:
        started = clock()
        step = max(min(_WAIT_STEP, deadline - started), 0.0)
        request = WaitGenerationRequest(id=generation_id, timeout=duration(step))
        response = calls.unary(calls.generations.WaitGeneration, request, extra=step)
        generation: Generation = response.generation
        ended = clock()
        if generation.done or ended >= deadline:
            return generation
        if ended - started < step / 2:  # the gateway responds early if it is shutting down: wait before the next call
            calls.timers.sleep(calls.policy.first_delay)


def watch(
    calls: Calls,
    generation_id: str,
    *,
    after_revision: int,
    include_input: bool,
    forecast_interval: Duration | None,
    timeout: float | None,
    last: Generation | None = None,
) -> Generator[Generation, None, None]:
    """Yield every change after ``after_revision``, exactly once and in order, until the generation has ended.

    With ``forecast_interval``, the last change is yielded again with each newer forecast. ``last`` is the generation at
    ``after_revision``, if it is known.
    """
    revision = after_revision

    def request() -> WatchGenerationRequest:
        return WatchGenerationRequest(
            id=generation_id,
            after_revision=revision,
            include_input=include_input,
            forecast_interval=forecast_interval,
        )

    # If the gateway ends the stream with OK, there is no change after the known revision.
    with closing(calls.resumed(calls.generations.WatchGeneration, request, timeout=timeout)) as messages:
        for message in messages:
            generation = message.generation
            if forecast_interval is not None and message.HasField("forecast") and last is not None:
                generation = Generation()
                generation.CopyFrom(last)
                generation.forecast.CopyFrom(message.forecast)
            elif not message.HasField("generation") or generation.revision <= revision:
                continue
            revision, last = generation.revision, generation
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
    """Yield the events of all matching generations, until those in ``filter.ids`` have ended; without ids, forever."""
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
        try:
            with closing(calls.stream(calls.generations.WatchGenerations, request, deadline=deadline)) as messages:
                for message in messages:
                    outage.reset()
                    yield from cursor.received(message)
            return
        except GatewayError as error:
            if not outage.wait_to_retry(error):
                raise
