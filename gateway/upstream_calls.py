"""What is recorded of each call to Higgsfield: a log line, metrics, and an event in the generation's timeline."""

from collections.abc import Mapping

from gateway.generations import journal
from gateway.generations.feed import Entry
from gateway.generations.model import GenerationId, UpstreamCall
from gateway.generations.timeline import Recorder
from gateway.telemetry import UpstreamMetrics


class UpstreamCalls:
    """Records calls. `entries` are the generations that have not ended."""

    def __init__(self, recorder: Recorder) -> None:
        self.metrics = UpstreamMetrics()
        self.entries: Mapping[GenerationId, Entry] = {}
        self._recorder = recorder

    def record(self, name: str, about: GenerationId | None, call: UpstreamCall) -> None:
        """Record a call by its name, such as "status call"; `about` is its generation, if it has one."""
        operation = name.removesuffix(" call").replace(" ", "_")
        self.metrics.record(operation, journal.outcome_of(call), call.seconds)
        if about is None:
            journal.called(operation, call, None, None)
            return
        self._recorder.record_call(about, call)
        entry = self.entries.get(about)
        journal.called(operation, call, about, None if entry is None else entry.generation)
