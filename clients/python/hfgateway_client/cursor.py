"""Where a watch of many generations stands, and what a broken one must send to go on. Pure: it does no I/O.

The gateway's tokens resume without a gap right behind their message; only where a stream begins with the present, for
want of a token or after a reset, a token from before ``caught_up`` starts over. A stream that broke there is opened
without one; the generations that ended meanwhile would go missing in silence, so `Reset` is told first.
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
    """Turns the messages of one watch, over all its streams, into events."""

    def __init__(self, resume_token: str) -> None:
        self.resume_token = resume_token
        """The token to open the next stream with."""
        self._begins_with_the_present = True
        self._told_some_of_it = False
        self._told_caught_up = False
        self._told_missing: tuple[str, ...] = ()

    def stream_opened(self) -> Iterator[WatchEvent]:
        """What to tell before the first message of a stream."""
        self._begins_with_the_present = not self.resume_token
        if self._begins_with_the_present and self._told_some_of_it:
            yield self._reset()

    def received(self, message: WatchGenerationsResponse) -> Iterator[WatchEvent]:
        """What a message tells. The last event is the first to carry its token: the others would skip the rest."""
        if message.reset:
            self.resume_token = ""
            self._begins_with_the_present = True
            yield self._reset()
        missing = tuple(message.missing_ids)
        if missing and missing != self._told_missing:
            self._told_missing = missing
            yield MissingGenerations(self.resume_token, missing)

        generation = message.generation if message.HasField("generation") else None
        forecasts = dict(message.forecasts)
        caught_up = message.caught_up and not self._told_caught_up

        if generation:
            self._told_some_of_it = True
            last = not forecasts and not caught_up
            yield GenerationChanged(self._token_after(message) if last else self.resume_token, generation)
        if forecasts:
            yield ForecastsChanged(self.resume_token if caught_up else self._token_after(message), forecasts)
        if caught_up:
            self._told_caught_up = True
            yield CaughtUp(self._token_after(message))
        self._advance(message)

    def _advance(self, message: WatchGenerationsResponse) -> None:
        self.resume_token = self._token_after(message)
        if message.caught_up:
            self._begins_with_the_present = False

    def _token_after(self, message: WatchGenerationsResponse) -> str:
        if self._begins_with_the_present and not message.caught_up:
            return self.resume_token
        return message.resume_token or self.resume_token

    def _reset(self) -> Reset:
        self._told_some_of_it = False
        self._told_caught_up = False
        self._told_missing = ()
        return Reset(self.resume_token)
