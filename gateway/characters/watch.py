"""Watches of characters in training. One poller serves all watchers of a character, and stops after the last one."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable

from gateway.characters import errors
from gateway.characters.model import Character
from gateway.characters.ports import CharacterUpstream
from gateway.characters.registry import Registry
from gateway.concurrency import Signals
from gateway.errors import Failure, GatewayError, Reason
from gateway.generations.clock import WaitTimer, jittered, sleep
from gateway.generations.ports import Clock
from gateway.generations.watching.watch import HEARTBEAT, Stream

log = logging.getLogger(__name__)

PAUSE_GROWTH = 1.5
"""The factor by which the pause between polls grows while nothing changes."""
MAX_PAUSE = 10.0
"""The most seconds between polls, unless HFGATEWAY_POLL_MIN is longer.

A longer HFGATEWAY_POLL_MAX does not apply, because a caller is waiting.
"""
MAX_SILENCE = 60.0
"""The most seconds between polls while Higgsfield does not respond."""


class WatchedCharacter(Signals):
    """A character with watchers: its last state and the number of changes. `end` is the error that ends all watches."""

    __slots__ = ("changes", "character", "end", "task", "watchers")

    def __init__(self) -> None:
        super().__init__()
        self.character: Character | None = None
        self.changes = 0
        self.end: GatewayError | None = None
        self.watchers = 0
        self.task: asyncio.Task[None] | None = None

    def update(self, character: Character) -> bool:
        """Set the state and wake the watchers if it is new; return whether it is."""
        if character == self.character:
            return False
        self.character = character
        self.changes += 1
        self.wake()
        return True


class CharacterWatches:
    """All watches of characters. `first` and `longest` are the seconds between polls; `draining` ends all watches."""

    def __init__(self, clock: Clock, registry: Registry, *, first: float, longest: float) -> None:
        self._clock = clock
        self._registry = registry
        self._first = first
        self._longest = max(min(longest, MAX_PAUSE), first)
        self._watched: dict[str, WatchedCharacter] = {}
        self.draining = False

    async def watch(
        self, character_id: str, upstream: Callable[[], CharacterUpstream], check: Callable[[], None]
    ) -> AsyncGenerator[Character | None, None]:
        """Yield the current state, then every change until training ends; None after each 15 s without a change.

        `upstream` is called before each poll, `check` at every heartbeat and wake-up; an error that `check` raises ends
        the watch. Raises NOT_FOUND, UPSTREAM_UNAVAILABLE if the first poll fails, or INTERNAL.
        """
        stream = Stream(self._clock, check)
        watched = self._join(character_id, upstream)
        timer = WaitTimer(HEARTBEAT)
        seen = 0
        try:
            while True:
                if watched.end is not None:
                    raise watched.end
                if seen != watched.changes and watched.character is not None:
                    seen, character = watched.changes, watched.character
                    yield character
                    if character.done:
                        return
                    continue
                stream.raise_if_over(draining=self.draining)
                signal = watched.signal()
                try:
                    await timer.wait(signal)
                finally:
                    watched.drop(signal)
                if seen == watched.changes and watched.end is None:
                    stream.raise_if_over(draining=self.draining)
                    yield None
        finally:
            timer.end()
            self._leave(character_id, watched)

    def end_deleted(self, character_id: str) -> None:
        """End the watches of a deleted character."""
        watched = self._watched.get(character_id)
        if watched is not None:
            self._finish(character_id, watched, errors.character_not_found(character_id))

    def wake_all(self) -> None:
        """Wake every watch, so that it checks whether it may continue."""
        for watched in self._watched.values():
            watched.wake()

    def _join(self, character_id: str, upstream: Callable[[], CharacterUpstream]) -> WatchedCharacter:
        watched = self._watched.get(character_id)
        if watched is None:
            watched = self._watched[character_id] = WatchedCharacter()
            watched.task = asyncio.create_task(self._poll(character_id, upstream, watched))
        watched.watchers += 1
        return watched

    def _leave(self, character_id: str, watched: WatchedCharacter) -> None:
        watched.watchers -= 1
        if watched.watchers == 0:
            self._forget(character_id, watched)

    def _finish(self, character_id: str, watched: WatchedCharacter, end: GatewayError) -> None:
        """End every watch of a character with an error."""
        watched.end = end
        watched.wake()
        self._forget(character_id, watched)

    def _forget(self, character_id: str, watched: WatchedCharacter) -> None:
        if self._watched.get(character_id) is watched:
            del self._watched[character_id]
        if watched.task is not None:
            watched.task.cancel()  # may be the current task, which is about to return

    async def _poll(
        self, character_id: str, upstream: Callable[[], CharacterUpstream], watched: WatchedCharacter
    ) -> None:
        try:
            await self._poll_until_done(character_id, upstream, watched)
        except Exception:
            log.exception("watching a character failed because of a bug")
            error = GatewayError(Failure(Reason.INTERNAL, "the watch failed; watch again"))
            self._finish(character_id, watched, error)

    async def _poll_until_done(
        self, character_id: str, upstream: Callable[[], CharacterUpstream], watched: WatchedCharacter
    ) -> None:
        pause, silence = self._first, self._first
        while True:
            try:
                character = await self._registry.find(upstream(), character_id)
            except GatewayError as error:
                if watched.character is None:
                    self._finish(character_id, watched, error)
                    return
                silence = min(2 * silence, MAX_SILENCE)
                await self._sleep(max(silence, error.failure.retry_after or 0.0))
                continue
            if character is None:
                self._finish(character_id, watched, errors.character_not_found(character_id))
                return
            pause = self._first if watched.update(character) else min(pause * PAUSE_GROWTH, self._longest)
            silence = self._first
            if character.done:
                return
            await self._sleep(pause)

    async def _sleep(self, seconds: float) -> None:
        await sleep(self._clock, jittered(seconds))
