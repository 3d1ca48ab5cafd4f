"""The position of a watch of many generations, and how it resumes after its stream breaks. Performs no I/O.

A resume token continues exactly behind its message, with one exception: while a stream sends its snapshot (it was
opened without a token, or after a reset), a token from before ``caught_up`` starts the snapshot again. If a stream
breaks there, the next one is opened without a token. Generations that ended in between are missing from the new
snapshot, so the cursor yields `Reset` first.
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
        self.resume_token = resume_token
        """The token with which to open the next stream."""
        self._in_snapshot = True
        self._yielded_generations = False
        self._yielded_caught_up = False
        self._yielded_missing: tuple[str, ...] = ()

    def stream_opened(self) -> Iterator[WatchEvent]:
        """Yield the events that precede the first message of a new stream."""
        self._in_snapshot = not self.resume_token
        if self._in_snapshot and self._yielded_generations:
            yield self._reset()

    def received(self, message: WatchGenerationsResponse) -> Iterator[WatchEvent]:
        """Yield the events of a message.

        Only the last event has the message's token. The others have the previous token, because a watch that resumed
        from them with this one would skip the rest of the message.
        """
        if message.reset:
            self.resume_token = ""
            self._in_snapshot = True
            yield self._reset()
        missing = tuple(message.missing_ids)
        if missing and missing != self._yielded_missing:
            self._yielded_missing = missing
            yield MissingGenerations(self.resume_token, missing)

        generation = message.generation if message.HasField("generation") else None
        forecasts = dict(message.forecasts)
        caught_up = message.caught_up and not self._yielded_caught_up

        if generation:
            self._yielded_generations = True
            last = not forecasts and not caught_up
            yield GenerationChanged(self._token_after(message) if last else self.resume_token, generation)
        if forecasts:
            yield ForecastsChanged(self.resume_token if caught_up else self._token_after(message), forecasts)
        if caught_up:
            self._yielded_caught_up = True
            yield CaughtUp(self._token_after(message))
        self._advance(message)

    def _advance(self, message: WatchGenerationsResponse) -> None:
        self.resume_token = self._token_after(message)
        if message.caught_up:
            self._in_snapshot = False

    def _token_after(self, message: WatchGenerationsResponse) -> str:
        if self._in_snapshot and not message.caught_up:
            return self.resume_token
        return message.resume_token or self.resume_token

    def _reset(self) -> Reset:
        self._yielded_generations = False
        self._yielded_caught_up = False
        self._yielded_missing = ()
        return Reset(self.resume_token)
