"""The position of a watch of many generations, and how it resumes after its stream breaks. Performs no I/O.

A resume token continues right after its message, also within the snapshot at the start of a watch.
"""

from __future__ import annotations

from collections.abc import Iterator

from hfgateway.v1.generation_service_pb2 import WatchGenerationsResponse
from hfgateway_client.events import (
    CaughtUp,
    ForecastsChanged,
    GenerationChanged,
    MissingGenerations,
    Reset,
    WatchEvent,
)


class WatchCursor:
    """Converts the messages of one watch, across all its streams, into events."""

    def __init__(self, resume_token: str) -> None:
        self.resume_token: str = resume_token
        """The token with which to open the next stream."""
        self._yielded_caught_up = False
        self._yielded_missing: tuple[str, ...] = ()

    def received(self, message: WatchGenerationsResponse) -> Iterator[WatchEvent]:
        """Yield the events of a message.

        Only the last event has the message's token. The others have the previous token, because a watch that resumed
        from them with this one would skip the rest of the message.
        """
        if message.reset:
            self.resume_token = ""
            self._yielded_caught_up = False
            self._yielded_missing = ()
            yield Reset(self.resume_token)
        missing = tuple(message.missing_ids)
        if missing and missing != self._yielded_missing:
            self._yielded_missing = missing
            yield MissingGenerations(self.resume_token, missing)

        before, after = self.resume_token, message.resume_token or self.resume_token
        caught_up = message.caught_up and not self._yielded_caught_up
        forecasts = dict(message.forecasts)
        if message.HasField("generation"):
            yield GenerationChanged(before if forecasts or caught_up else after, message.generation)
        if forecasts:
            yield ForecastsChanged(before if caught_up else after, forecasts)
        if caught_up:
            self._yielded_caught_up = True
            yield CaughtUp(after)
        self.resume_token = after
