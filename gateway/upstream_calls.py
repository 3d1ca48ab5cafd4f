"""What is recorded of each call to Higgsfield: a log line, metrics, an event in the timeline, and a span."""

from collections.abc import Callable

from gateway.generations import journal
from gateway.generations.model import GenerationId, UpstreamCall
from gateway.generations.timeline import Recorder
from gateway.generations.watching.feed import Entries
from gateway.telemetry import UpstreamMetrics

Trace = Callable[[str, UpstreamCall, GenerationId | None], None]


class UpstreamCalls:
    """Records calls. `entries` are the generations that have not ended; `trace` makes spans, if calls are traced."""

    def __init__(self, recorder: Recorder) -> None:
        self.metrics = UpstreamMetrics()
        self.entries = Entries(())
        self.trace: Trace | None = None
        self._recorder = recorder

    def record(self, name: str, about: GenerationId | None, call: UpstreamCall) -> None:
        """Record a call by its name, such as "status call"; `about` is its generation, if it has one."""
        operation = name.removesuffix(" call").replace(" ", "_")
        self.metrics.record(operation, journal.outcome_of(call), call.seconds)
        if self.trace is not None:
            self.trace(operation, call, about)
        if about is None:
            journal.log_upstream_call(operation, call, None, None)
            return
        entry = self.entries.get(about)
        self._recorder.record_call(about, call, live=entry is not None)
        journal.log_upstream_call(operation, call, about, None if entry is None else entry.generation)
