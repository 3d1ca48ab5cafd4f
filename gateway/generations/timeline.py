"""The timeline of a generation: its changes, and the upstream calls and webhooks that concern it.

Calls are buffered and written every FLUSH_INTERVAL seconds. A crash may lose the last of them, and a write that the
store refuses is not repeated. Changes are never lost. Calls in a row with the same outcome are one record with a count.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.generations.clock import sleep
from gateway.generations.model import Event, Generation, GenerationId, Source, State, UpstreamCall
from gateway.generations.ports import Clock
from gateway.generations.reads import Reads
from gateway.generations.stores import EventStore, Saved, UnconfirmedError
from gateway.generations.watching.feed import Entry

log = logging.getLogger(__name__)

FLUSH_INTERVAL = 0.25
"""Seconds."""
MAX_WAITING = 20_000
"""Records buffered until the next write, which may take long; beyond that, new ones are dropped."""


@dataclass(slots=True)
class _Row:
    """The last call for a generation, and how many times in a row it had this outcome."""

    call: UpstreamCall
    times: int = 1


class Recorder:
    """Buffers upstream calls and other events, and writes them to the store in `run`."""

    def __init__(self, events: EventStore, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._last: dict[str, _Row] = {}
        self._unwritten: dict[tuple[str, float], tuple[str, Event]] = {}
        self._writing = asyncio.Lock()

    def record_call(self, generation_id: GenerationId, call: UpstreamCall, *, live: bool) -> None:
        """Record an upstream call that was made for a generation. `live`: it is stored and has not ended."""
        if not live:
            self._write(generation_id, _Row(call))
            return
        last = self._last.get(generation_id)
        if last is not None and _same(last.call, call):
            # Repeated outcomes are counted and only written at powers of two, because most polls show no change.
            last.times += 1
            if last.times & (last.times - 1) == 0:
                self._write(generation_id, last)
            return
        if last is not None and last.times > 1:
            self._write(generation_id, last)
        self._last[generation_id] = row = _Row(call)
        self._write(generation_id, row)

    def write_out(self, generation_id: GenerationId) -> None:
        """Write the count of a generation's last calls with the next flush."""
        last = self._last.get(generation_id)
        if last is not None:
            self._write(generation_id, last)

    def _write(self, generation_id: GenerationId, row: _Row) -> None:
        call = row.call
        self.note(
            generation_id, Event(call.time, _describe_call(call), source=_source_of(call), call=call, times=row.times)
        )

    def note(self, generation_id: GenerationId, event: Event) -> None:
        """Buffer an event."""
        if len(self._unwritten) < MAX_WAITING:
            self._unwritten[(generation_id, event.time)] = (generation_id, event)

    def on_commit(self, saved: Sequence[Saved]) -> None:
        """Forget generations that have ended, because no more calls follow."""
        for save in saved:
            if save.generation is None or save.generation.done:
                last = self._last.pop(save.generation_id, None)
                if last is not None and last.times > 1 and save.generation is not None:
                    self._write(save.generation_id, last)

    async def run(self) -> None:
        """Write the buffer periodically, until canceled."""
        while True:
            await sleep(self._clock, FLUSH_INTERVAL)
            await self.flush()

    async def flush(self) -> None:
        """Write the buffer now. Returns after an earlier flush, if one is still writing."""
        async with self._writing:
            if not self._unwritten:
                return
            events, self._unwritten = list(self._unwritten.values()), {}
            try:
                await self._events.record(events)
            except UnconfirmedError:
                log.warning("upstream calls were not recorded, because the store refused the write")


class Timelines:
    """Reads the timelines of generations, for `ExplainGeneration`."""

    def __init__(self, events: EventStore, service: Reads, recorder: Recorder) -> None:
        self._events = events
        self._service = service
        self._recorder = recorder

    async def read(self, tenant: str, generation_id: GenerationId) -> tuple[Entry, Sequence[Event]]:
        """Return a generation and its events, oldest first. Raises NOT_FOUND."""
        entry = await self._service.entry(tenant, generation_id)
        self._recorder.write_out(generation_id)
        await self._recorder.flush()
        events = list(await self._events.events(generation_id))
        before: Generation | None = None
        for generation in await self._service.history(entry, 0, 10_000):
            events.append(_changed(before, generation))
            before = generation
        events.sort(key=lambda event: (event.time, event.revision))
        return entry, events


def _changed(before: Generation | None, after: Generation) -> Event:
    return Event(after.update_time, _describe_change(before, after), after.revision, after.state, after.source)


def _describe_change(before: Generation | None, after: Generation) -> str:
    if before is None and after.spec.adopted:
        return f"adopted, as request {after.request_id} of Higgsfield's {after.spec.api} API; {after.state.name}"
    if before is None:
        delay = f"; {after.delay.message}" if after.delay else ""
        return f"stored, for model {after.spec.model_id}{delay}"
    parts = []
    if after.request_id and not before.request_id:
        parts.append(f"accepted by Higgsfield as request {after.request_id}")
    if after.state is not before.state:
        parts.append(f"{before.state.name} -> {after.state.name}")
    if after.delay is not None and after.delay != before.delay:
        parts.append(after.delay.message)
    if after.failure is not None and before.failure is None:
        parts.append(f"{after.failure.reason.name}: {after.failure.message}")
    if _available_outputs(after) != _available_outputs(before):
        parts.append(f"{_available_outputs(after)} outputs")
    if after.upstream_status != before.upstream_status and after.state is before.state:
        parts.append(f"Higgsfield says {after.upstream_status!r}")
    if after.state is State.LOST:
        parts.append("may have been charged")
    if not parts and after.revision > before.revision + 1:
        parts.append("the gateway's store was restored from a backup")
    return "; ".join(parts) or "changed"


def _available_outputs(generation: Generation) -> int:
    """Return how many of its outputs are available."""
    return sum(output.state is State.COMPLETED for output in generation.outputs)


def _describe_call(call: UpstreamCall) -> str:
    outcome = f"HTTP {call.http_status}" if call.http_status else "no usable answer"
    return f"{call.method} {call.path}: {outcome}"


def _source_of(call: UpstreamCall) -> Source:
    if call.path.endswith("/cancel"):
        return Source.CANCEL
    return Source.POLL if call.method == "GET" else Source.SUBMIT


def _same(call: UpstreamCall, other: UpstreamCall) -> bool:
    return (call.method, call.path, call.http_status) == (other.method, other.path, other.http_status)
