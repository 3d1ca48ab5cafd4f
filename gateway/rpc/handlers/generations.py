"""The handlers of GenerationService. Their responses may be bytes that were encoded earlier."""

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from google.protobuf.message import Message

from gateway.archive.model import ArchivedFile, Part
from gateway.archive.ports import CopyStore
from gateway.errors import GatewayError, Violation, generation_not_found, invalid_field, raise_if_invalid
from gateway.generations.adopt import Adopter
from gateway.generations.follower import Follower
from gateway.generations.model import Forecast, Generation, GenerationId, State
from gateway.generations.reads import Reads
from gateway.generations.service import Generations
from gateway.generations.timeline import Timelines
from gateway.generations.watching import watch
from gateway.generations.watching.feed import Entry
from gateway.generations.watching.forecast import Forecaster
from gateway.generations.watching.watch import Watches
from gateway.rpc.call import Call
from gateway.rpc.limits.turns import Turns
from gateway.rpc.messages import convert, page_tokens, wire
from gateway.rpc.messages.pages import Page
from gateway.rpc.messages.structs import struct
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb

DEFAULT_SUBMIT_WAIT = 10.0
DEFAULT_WAIT = 30.0
GENERATION = pb.GetGenerationResponse.GENERATION_FIELD_NUMBER
"""The field number of the generation in all responses that contain one."""
FORECAST = pb.WatchGenerationResponse.FORECAST_FIELD_NUMBER
MAX_FORECASTS = 10_000
"""Forecasts in one message. Most clients accept no messages of more than 4 MiB, which is about 65,000 forecasts."""
MIN_INTERVAL = 1.0
"""Seconds between messages with forecasts."""


class Polls(Protocol):
    """Reads the state of a queued generation from Higgsfield before its next poll, for a caller that asks for it."""

    def refresh(self, entry: Entry) -> bool:
        """Start to read the state if needed. Return whether it is being read."""

    async def wait_for_refresh(self, entry: Entry) -> None:
        """Return when the state is known, or soon if that takes too long."""


class NoPolls:
    """For a replica that serves callers and leaves all calls to Higgsfield to another one."""

    def refresh(self, entry: Entry) -> bool:
        """Do nothing."""
        return False

    async def wait_for_refresh(self, entry: Entry) -> None:
        """Return at once."""


class GenerationReads:
    """Handles the RPCs that every replica answers itself, independent of the transport."""

    def __init__(
        self, generations: Reads, watches: Watches, forecasts: Forecaster, copies: CopyStore, polls: Polls
    ) -> None:
        self._generations = generations
        self._watches = watches
        self._forecasts = forecasts
        self._copies = copies
        self._polls = polls
        self._turns = Turns()

    async def get_generation(self, request: pb.GetGenerationRequest, call: Call) -> bytes:
        """Return a generation, from memory if it has not ended. If it is queued, Higgsfield may be asked first."""
        identity = call.identity
        entry = self._generations.live(identity.tenant, GenerationId(request.id))
        if entry is None or identity.within is not None:
            entry = await self._entry(call, request.id)
        if self._polls.refresh(entry):
            await self._polls.wait_for_refresh(entry)
        include_input = identity.include_input
        archived = await self._copies.archived([request.id]) if entry.generation.done else {}
        if archived:
            content = wire.shown(entry.generation, include_input=include_input, archived=archived[request.id])
            return wire.embedded(GENERATION, content)
        return wire.embedded(GENERATION, self._live(entry, include_input=include_input))

    async def list_generations(self, request: pb.ListGenerationsRequest, call: Call) -> Message:
        """Return a page of generations, newest first, of at most 2 MiB. A large one takes 60 ms of the event loop."""
        wanted = convert.parse_filter(request.filter, call.within)
        filter_hash = page_tokens.filter_hash(request.filter, call.tenant, call.within)
        page: Page[Generation] = Page(request, lambda generation: generation.id, binding=filter_hash)
        await self._turns.next(call.tenant)
        found, last = await self._generations.page(call.tenant, wanted, page.after, page.size)
        archived = await self._copies.archived([generation.id for generation in found if generation.done])

        def message(generation: Generation) -> Message:
            files = archived.get(generation.id, wire.NOTHING_ARCHIVED)
            shown = self._shown(call, generation, include_input=request.include_input, archived=files)
            return generation_pb2.Generation.FromString(shown)

        response = pb.ListGenerationsResponse()
        await self._turns.next(call.tenant)
        response.next_page_token = page.fill(response.generations, found, message) or page.token_after(last)
        return response

    async def wait_generation(self, request: pb.WaitGenerationRequest, call: Call) -> bytes:
        """Wait until a generation has ended, or for `wait_timeout`, and return it."""
        wait = _wait(request, "timeout", DEFAULT_WAIT)
        if call.within is not None:
            await self._entry(call, request.id)
        call.start_waiting()
        self._refresh(call, _id(request.id))
        left = call.within_deadline(wait)
        generation = await self._generations.wait(call.tenant, _id(request.id), _done, left, call.check)
        return wire.embedded(GENERATION, self._shown(call, generation))

    async def forward_submission(
        self, forward: Callable[[Message, Call], Awaitable[bytes]], request: pb.SubmitGenerationRequest, call: Call
    ) -> bytes:
        """Forward a submission to the leader, which waits for the acceptance. This replica waits for the end.

        So a stop of either one does not cut the call.
        """
        if request.wait_for != pb.WAIT_FOR_DONE:
            return await forward(request, call)
        began = time.monotonic()
        request.wait_for = pb.WAIT_FOR_ACCEPTED
        response = await forward(request, call)
        if not call.try_start_waiting():
            return response
        stored = pb.SubmitGenerationResponse.FromString(response)
        generation_id = _id(stored.generation.id)
        rest = pb.SubmitGenerationResponse(replayed=stored.replayed, warnings=stored.warnings)
        left = call.within_deadline(_wait(request, "wait_timeout", DEFAULT_SUBMIT_WAIT) - (time.monotonic() - began))
        del request, response, stored  # the call may wait for an hour, so free what has the input
        generation = await self._generations.wait(call.tenant, generation_id, _done, left, call.check)
        _raise_if_refused(generation)
        return wire.embedded(GENERATION, self._shown(call, generation)) + rest.SerializeToString()

    async def watch_generation(self, request: pb.WatchGenerationRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """Stream every change after a revision, exactly once and in order."""
        heartbeats = _Heartbeats(_interval(request))
        generation_id, include_input = _id(request.id), request.include_input and call.identity.include_input
        if call.within is not None:
            await self._entry(call, generation_id)
        changes = self._watches.one(call.tenant, generation_id, request.after_revision, heartbeats.tick, call.check)
        del request  # the stream may be open for hours, so free the request
        self._refresh(call, generation_id)
        async for seen in changes:
            if seen is None:
                forecast = heartbeats.take_newer(generation_id, self._forecast_of(generation_id, call))
                if forecast is not None:
                    heartbeats.reset()
                    yield wire.embedded(FORECAST, wire.forecast_message(forecast).SerializeToString())
                elif heartbeats.count_tick():
                    heartbeats.reset()
                    yield b""
                continue
            generation, entry = seen
            if entry.generation is generation:
                content = self._live(entry, include_input=include_input)
            else:
                content = wire.shown(generation, include_input=include_input)
            if heartbeats.wants_forecasts:
                heartbeats.record_sent(generation_id, self._forecast_of(generation_id, call))
            heartbeats.reset()
            yield wire.embedded(GENERATION, content)
            del seen, generation, entry, content

    async def watch_generations(self, request: pb.WatchGenerationsRequest, call: Call) -> AsyncIterator[Message]:
        """Stream the current state of all matching generations, and then every change."""
        heartbeats = _Heartbeats(_interval(request))
        for name in ("states", "idempotency_key", "upstream_request_ids"):
            if getattr(request.filter, name):
                raise invalid_field(f"filter.{name}", "cannot be watched")
        wanted = convert.parse_filter(request.filter, call.within)
        filter_hash = page_tokens.filter_hash(request.filter, call.tenant, call.within)
        resume = page_tokens.read_resume_token(request.resume_token, filter_hash)
        async for seen in self._watches.many(call.tenant, wanted, resume, heartbeats.tick, call.check):
            response = pb.WatchGenerationsResponse(
                resume_token=page_tokens.resume_token(seen.at, filter_hash),
                caught_up=seen.caught_up,
                reset=seen.reset,
                missing_ids=seen.missing,
            )
            if seen.generation is not None:
                content = self._shown(call, seen.generation, include_input=request.include_input)
                response.generation.MergeFromString(content)
                if heartbeats.wants_forecasts:
                    heartbeats.record_sent(seen.generation.id, self._forecast_of(seen.generation.id, call))
            elif seen.empty:
                if heartbeats.wants_forecasts:
                    async for generation in self._watches.present(call.tenant, wanted):
                        forecast = heartbeats.take_newer(generation.id, self._forecast_of(generation.id, call))
                        if forecast is not None:
                            response.forecasts[generation.id].CopyFrom(wire.forecast_message(forecast))
                        if len(response.forecasts) == MAX_FORECASTS:
                            heartbeats.reset()
                            yield response
                            response = pb.WatchGenerationsResponse(resume_token=response.resume_token)
                if not response.forecasts and not heartbeats.count_tick():
                    continue
            heartbeats.reset()
            yield response

    async def _entry(self, call: Call, generation_id: str) -> Entry:
        """Return the entry of a generation that exists for the caller. Raises NOT_FOUND."""
        entry = await self._generations.entry(call.tenant, _id(generation_id))
        if not call.sees(entry.generation):
            raise generation_not_found(generation_id)
        return entry

    def _shown(
        self,
        call: Call,
        generation: Generation,
        *,
        include_input: bool = True,
        archived: Mapping[Part, ArchivedFile] = wire.NOTHING_ARCHIVED,
    ) -> bytes:
        """Return the encoded generation, from the cache of its live entry if that has the same version."""
        include_input = include_input and call.identity.include_input
        entry = self._generations.live(call.tenant, generation.id)
        if entry is not None and entry.generation.revision == generation.revision:
            return self._live(entry, include_input=include_input)
        return wire.shown(generation, include_input=include_input, archived=archived)

    def _live(self, entry: Entry, *, include_input: bool) -> bytes:
        """Return the encoded generation of a live entry, with its current forecast appended."""
        content = wire.full(entry) if include_input else wire.bare(entry)
        return content + wire.forecast_field(self._forecasts.of(entry))

    def _refresh(self, call: Call, generation_id: GenerationId) -> None:
        """Have a generation polled whose watch begins, if it may have started."""
        entry = self._generations.live(call.tenant, generation_id)
        if entry is not None:
            self._polls.refresh(entry)

    def _forecast_of(self, generation_id: GenerationId, call: Call) -> Forecast | None:
        entry = self._generations.live(call.tenant, generation_id)
        return None if entry is None else self._forecasts.of(entry)


class GenerationHandlers(GenerationReads):
    """Handles all RPCs of the service, with the gateway that does the work."""

    def __init__(
        self,
        generations: Generations,
        watches: Watches,
        forecasts: Forecaster,
        timelines: Timelines,
        copies: CopyStore,
        *,
        follower: Follower,
        adopter: Adopter,
    ) -> None:
        super().__init__(generations, watches, forecasts, copies, follower)
        self._service = generations
        self._timelines = timelines
        self._adopter = adopter

    async def submit_generation(self, request: pb.SubmitGenerationRequest, call: Call) -> bytes:
        """Submit a generation, then wait as `wait_for` asks, within `wait_timeout` and the call's deadline."""
        doubted: list[Violation] = []
        submission = convert.parse_submission(request, doubted.extend, call.identity.key_id, call.forwarded)
        wait_for = request.wait_for
        wait = _wait(request, "wait_timeout", DEFAULT_SUBMIT_WAIT)
        generation, replayed = await self._service.submit(call.tenant, submission)
        del request, submission  # the call may wait for an hour, so free the request
        if wait_for != pb.WAIT_FOR_STORED:
            enough = _done if wait_for == pb.WAIT_FOR_DONE else _accepted_or_done
            if not enough(generation) and call.try_start_waiting():
                left = call.within_deadline(wait)
                generation = await self._service.wait(call.tenant, generation.id, enough, left, call.check)
            _raise_if_refused(generation)
        rest = pb.SubmitGenerationResponse(replayed=replayed, warnings=convert.warning_messages(doubted))
        return wire.embedded(GENERATION, self._shown(call, generation)) + rest.SerializeToString()

    async def adopt_generation(self, request: pb.AdoptGenerationRequest, call: Call) -> bytes:
        """Adopt a request that was made without this gateway."""
        generation, replayed = await self._adopter.adopt(call.tenant, convert.parse_adoption(request))
        rest = pb.AdoptGenerationResponse(replayed=replayed)
        return wire.embedded(GENERATION, self._shown(call, generation)) + rest.SerializeToString()

    async def cancel_generation(self, request: pb.CancelGenerationRequest, call: Call) -> bytes:
        """Cancel a generation. Raises NOT_CANCELABLE if Higgsfield cannot stop it any more."""
        generation = await self._service.cancel(call.tenant, _id(request.id))
        return wire.embedded(GENERATION, self._shown(call, generation))

    async def estimate_generation(self, request: pb.EstimateGenerationRequest, call: Call) -> Message:
        """Return the price of an input."""
        given, _message = convert.parse_input(request.input)
        doubted: list[Violation] = []
        estimate = await self._service.estimate(call.tenant, given, doubted.extend)
        response = pb.EstimateGenerationResponse(
            description=estimate.description, extra=struct(estimate.extra), warnings=convert.warning_messages(doubted)
        )
        if estimate.credits or estimate.usd:
            response.cost.credits = estimate.credits
            response.cost.usd = estimate.usd
        return response

    async def delete_generation(self, request: pb.DeleteGenerationRequest, call: Call) -> Message:
        """Delete a generation that has ended."""
        removed = await self._service.delete(call.tenant, _id(request.id))
        return pb.DeleteGenerationResponse(removed_upstream=removed)

    async def explain_generation(self, request: pb.ExplainGenerationRequest, call: Call) -> Message:
        """Return the timeline of a generation."""
        entry, events = await self._timelines.read(call.tenant, _id(request.id))
        response = pb.ExplainGenerationResponse(events=[wire.event_message(event) for event in events])
        response.generation.MergeFromString(self._live(entry, include_input=False))
        return response


class _Heartbeats:
    """What a watch sends while nothing changes: newer forecasts if the client asked for them, else heartbeats.

    A tick is the client's interval, shortened so that a heartbeat is due after a whole number of them.
    """

    __slots__ = ("_due", "_sent", "_ticks", "tick")

    def __init__(self, interval: float | None) -> None:
        self._due = 1 if interval is None else math.ceil(watch.HEARTBEAT / interval)
        self.tick = watch.HEARTBEAT / self._due
        self._ticks = self._due  # the first heartbeat is due at once
        self._sent: dict[str, Forecast] | None = None if interval is None else {}

    @property
    def wants_forecasts(self) -> bool:
        """Whether the client asked for forecasts."""
        return self._sent is not None

    def record_sent(self, name: str, forecast: Forecast | None) -> None:
        """Record that a generation was sent with this forecast."""
        if self._sent is None:
            return
        if forecast is None:
            self._sent.pop(name, None)
        else:
            self._sent[name] = forecast

    def take_newer(self, name: str, forecast: Forecast | None) -> Forecast | None:
        """Return the forecast and record it as sent, if the client asked for forecasts and it is new; else None."""
        if self._sent is None or forecast is None or self._sent.get(name) == forecast:
            return None
        self._sent[name] = forecast
        return forecast

    def count_tick(self) -> bool:
        """Count a tick without a message; return whether a heartbeat is due."""
        self._ticks += 1
        return self._ticks >= self._due

    def reset(self) -> None:
        """Restart the count, because a message was sent."""
        self._ticks = 0


def _done(generation: Generation) -> bool:
    return generation.done


def _accepted_or_done(generation: Generation) -> bool:
    return generation.accept_time is not None or generation.done


def _raise_if_refused(generation: Generation) -> None:
    """Raise the error of a submission that Higgsfield refused."""
    if generation.state is State.FAILED and generation.accept_time is None and generation.failure:
        named = {**generation.failure.metadata, "generation_id": generation.id}
        raise GatewayError(replace(generation.failure, metadata=named))


def _id(given: str) -> GenerationId:
    return GenerationId(convert.require_text(given))


def _wait(request: Message, field: str, default: float) -> float:
    """Return the seconds to wait that a request wants."""
    wrong: list[Violation] = []
    wanted = convert.parse_seconds(request, field, wrong, maximum=convert.HOUR)
    raise_if_invalid(wrong)
    return default if wanted is None else wanted


def _interval(request: pb.WatchGenerationRequest | pb.WatchGenerationsRequest) -> float | None:
    wrong: list[Violation] = []
    interval = convert.parse_seconds(request, "forecast_interval", wrong)
    raise_if_invalid(wrong)
    # A refusal would come after the submission, in a client's `generate`.
    return None if interval is None else max(interval, MIN_INTERVAL)
