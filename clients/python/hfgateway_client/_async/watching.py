"""Waits and watches of generations. They resume after lost connections and restarts of the gateway."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from copy import deepcopy
from datetime import datetime
from functools import partial

from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_pb2 import Generation
from hfgateway_client._async.calls import Calls
from hfgateway_client.cursor import WatchCursor
from hfgateway_client.deadline import Deadline
from hfgateway_client.events import WatchEvent
from hfgateway_client.requests import duration, generation_filter

# The longest wait of one call, in seconds: shorter than the usual timeouts of proxies, and long enough to cost little.
_WAIT_STEP = 50.0


def _wait_request(generation_id: str, ends: Deadline) -> pb.WaitGenerationRequest:
    return pb.WaitGenerationRequest(id=generation_id, timeout=duration(ends.left()))


class WatchMethods:
    """The methods that wait for generations."""

    _calls: Calls

    async def wait(self, generation_id: str, timeout: float | None = None) -> Generation:
        """Wait until a generation has ended, and return it.

        Args:
            generation_id: The id of the generation.
            timeout: How long to wait, in seconds. After it the generation is returned as it is; see its ``done``.
                Default: no limit.
        """
        timers, deadline = self._calls.timers, self._calls.deadline(timeout)
        while True:
            started, left = timers.clock(), deadline.left()
            step = _WAIT_STEP if left is None else min(_WAIT_STEP, left)
            # A retry asks for the rest of the step, so that the outage does not prolong it.
            ends = self._calls.deadline(step)
            request = partial(_wait_request, generation_id, ends)
            generation: Generation = (await self._calls.unary(request, extra=step)).generation
            if generation.done or deadline.left() == 0.0:
                return generation
            if timers.clock() - started < step / 2:  # a gateway that is shutting down responds early
                await timers.sleep(self._calls.policy.first_delay)

    def watch(
        self,
        generation_id: str,
        after_revision: int = 0,
        *,
        include_input: bool = False,
        forecast_interval: float | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[Generation, None]:
        """Iterate over the changes of a generation, exactly once and in order, until it has ended.

        Args:
            generation_id: The id of the generation.
            after_revision: The last revision that you have seen. Default: 0, which yields all changes.
            include_input: Whether to return the input.
            forecast_interval: How many seconds must pass without a change before the generation is yielded again, at
                the same revision and with a newer forecast. At least 1. Default: it is yielded once per revision.
            timeout: The timeout of the whole watch in seconds. Default: no limit.

        Yields:
            The generation at each revision. In the last one, ``done`` is true.

        Raises:
            InvalidInput: ``after_revision`` is greater than the newest revision.
        """
        request = pb.WatchGenerationRequest(
            id=generation_id,
            after_revision=after_revision,
            include_input=include_input,
            forecast_interval=duration(forecast_interval),
        )
        return self._changes(request, timeout, None)

    async def _changes(
        self, request: pb.WatchGenerationRequest, timeout: float | None, last: Generation | None
    ) -> AsyncGenerator[Generation, None]:
        """Yield the changes that a request asks for. ``last`` is the generation at its revision, if it is known."""
        # If the given revision is the last one, the gateway ends the stream without a message.
        may_be_last = request.after_revision > 0 and last is None
        async with aclosing(self._calls.resumed(request, timeout, ended=lambda: may_be_last)) as messages:
            async for message in messages:
                may_be_last = False
                generation = message.generation
                if generation.revision <= request.after_revision:
                    if last is None or not (request.HasField("forecast_interval") and message.HasField("forecast")):
                        continue
                    generation = deepcopy(last)
                    generation.forecast.CopyFrom(message.forecast)
                request.after_revision, last = generation.revision, generation
                yield generation
                if generation.done:
                    return

    def watch_many(
        self,
        *,
        ids: Iterable[str] = (),
        model_ids: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        resume_token: str = "",
        include_input: bool = False,
        forecast_interval: float | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Iterate over the changes of all generations that match a filter, including ones created later.

        Without a ``resume_token`` the watch begins with a snapshot: the current state of each matching generation that
        has not ended; with ``ids``, ended ones are included. Then `CaughtUp` is yielded, and every later change follows
        exactly once. With ``ids`` the watch ends when all of them have ended, otherwise never.

        Args:
            ids: Only generations with these ids. At most 1,000.
            model_ids: Only generations of one of these models. At most 100.
            labels: Only generations that have all of these labels.
            created_after: Only generations created at or after this time.
            created_before: Only generations created before this time.
            resume_token: The token of the last event that you have handled, to continue after it. It is valid only with
                the same filter.
            include_input: Whether to return the inputs.
            forecast_interval: How many seconds must pass without an event before newer forecasts are yielded, at least
                1. Default: no `ForecastsChanged` events.
            timeout: The timeout of the whole watch in seconds. Default: no limit.

        Yields:
            The events of `hfgateway_client.events`.

        Raises:
            InvalidInput: The ``resume_token`` belongs to another filter.
        """
        request = pb.WatchGenerationsRequest(
            filter=generation_filter(
                ids=ids, model_ids=model_ids, labels=labels, created_after=created_after, created_before=created_before
            ),
            include_input=include_input,
            forecast_interval=duration(forecast_interval),
            resume_token=resume_token,
        )
        return self._events(request, timeout)

    async def _events(
        self, request: pb.WatchGenerationsRequest, timeout: float | None
    ) -> AsyncGenerator[WatchEvent, None]:
        cursor = WatchCursor(request.resume_token)
        async with aclosing(self._calls.resumed(request, timeout, ended=lambda: bool(request.filter.ids))) as messages:
            async for message in messages:
                for event in cursor.received(message):
                    yield event
                request.resume_token = cursor.resume_token
