"""Follows characters in training: one that asks Higgsfield, however many watch; nobody watches, nobody asks."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable

from gateway.characters import errors
from gateway.characters.model import Character
from gateway.characters.ports import CharacterUpstream
from gateway.characters.registry import Registry
from gateway.errors import Failure, GatewayError, Reason
from gateway.generations.clock import Patience, give, jittered, rest
from gateway.generations.ports import Clock
from gateway.generations.watch import HEARTBEAT, Stream

log = logging.getLogger(__name__)

LONGER = 1.5
"""By how much the time to the next question grows while nothing changes."""
LONGEST = 10.0
"""Seconds between questions at most, whatever the setting for generations is: somebody watches."""
LONGEST_SILENCE = 60.0
"""The same while Higgsfield does not answer."""

Signal = asyncio.Future[None]


class Follow:
    """One character that is watched: how it was seen last, and how often that was new. `end`: why nothing follows."""

    __slots__ = ("changes", "character", "end", "signals", "task", "watchers")

    def __init__(self) -> None:
        self.character: Character | None = None
        self.changes = 0
        self.end: GatewayError | None = None
        self.signals: list[Signal] = []
        self.watchers = 0
        self.task: asyncio.Task[None] | None = None

    def tell(self, character: Character) -> bool:
        """Have it seen; whether it is new."""
        if character == self.character:
            return False
        self.character = character
        self.changes += 1
        self.wake()
        return True

    def finish(self, end: GatewayError) -> None:
        """End every watch with this."""
        self.end = end
        self.wake()

    def signal(self) -> Signal:
        """A signal for the next news; its owner gives it back with `drop`."""
        signal: Signal = asyncio.get_running_loop().create_future()
        self.signals.append(signal)
        return signal

    def drop(self, signal: Signal) -> None:
        """Forget a signal that nobody waits for."""
        if not signal.done():
            self.signals.remove(signal)

    def wake(self) -> None:
        """Give all signals."""
        signals, self.signals = self.signals, []
        for signal in signals:
            give(signal)


class CharacterWatches:
    """Opens watches. `first` and `longest` are the seconds between questions; `draining` ends all watches."""

    def __init__(
        self, upstream: CharacterUpstream, clock: Clock, registry: Registry, *, first: float, longest: float
    ) -> None:
        self._upstream = upstream
        self._clock = clock
        self._registry = registry
        self._first = first
        self._longest = max(min(longest, LONGEST), first)
        self._follows: dict[str, Follow] = {}
        self.draining = False

    async def watch(self, character_id: str, check: Callable[[], None]) -> AsyncGenerator[Character | None, None]:
        """How it is now, then every change, to the end of training; None after each 15 s of silence.

        `check` is called with every heartbeat and wake-up, and may raise what ends the watch. Raises GatewayError.
        """
        stream = Stream(self._clock, check)
        follow = self._join(character_id)
        patience = Patience(HEARTBEAT)
        seen = 0
        try:
            while True:
                if follow.end is not None:
                    raise follow.end
                if seen != follow.changes and follow.character is not None:
                    seen, character = follow.changes, follow.character
                    yield character
                    if character.done:
                        return
                    continue
                stream.look_around(draining=self.draining)
                signal = follow.signal()
                try:
                    await patience.wait(signal)
                finally:
                    follow.drop(signal)
                if seen == follow.changes and follow.end is None:
                    stream.look_around(draining=self.draining)
                    yield None
        finally:
            patience.end()
            self._leave(character_id, follow)

    def deleted(self, character_id: str) -> None:
        """It is no more: end its watches."""
        follow = self._follows.get(character_id)
        if follow is not None:
            self._finish(character_id, follow, errors.character_not_found(character_id))

    def wake_all(self) -> None:
        """Have every watch look whether it may go on."""
        for follow in self._follows.values():
            follow.wake()

    def _join(self, character_id: str) -> Follow:
        follow = self._follows.get(character_id)
        if follow is None:
            follow = self._follows[character_id] = Follow()
            follow.task = asyncio.create_task(self._follow(character_id, follow))
        follow.watchers += 1
        return follow

    def _leave(self, character_id: str, follow: Follow) -> None:
        follow.watchers -= 1
        if follow.watchers == 0:
            self._forget(character_id, follow)

    def _finish(self, character_id: str, follow: Follow, end: GatewayError) -> None:
        follow.finish(end)
        self._forget(character_id, follow)

    def _forget(self, character_id: str, follow: Follow) -> None:
        if self._follows.get(character_id) is follow:
            del self._follows[character_id]
        if follow.task is not None and follow.task is not asyncio.current_task():
            follow.task.cancel()

    async def _follow(self, character_id: str, follow: Follow) -> None:
        try:
            await self._ask_to_the_end(character_id, follow)
        except Exception:
            log.exception("a character could not be followed by a defect")
            self._finish(character_id, follow, GatewayError(Failure(Reason.INTERNAL, "the watch broke: watch again")))

    async def _ask_to_the_end(self, character_id: str, follow: Follow) -> None:
        pause, silence = self._first, self._first
        while True:
            try:
                character = await errors.asked(self._upstream.find(character_id))
                if character is None and self._registry.may_not_show_yet(character_id):
                    raise errors.not_shown_yet()
            except GatewayError as error:
                if follow.character is None:
                    self._finish(character_id, follow, error)
                    return
                silence = min(2 * silence, LONGEST_SILENCE)
                await self._rest(max(silence, error.failure.retry_after or 0.0))
                continue
            if character is None:
                self._registry.missed(character_id)
                self._finish(character_id, follow, errors.character_not_found(character_id))
                return
            self._registry.saw(character)
            pause = self._first if follow.tell(character) else min(pause * LONGER, self._longest)
            silence = self._first
            if character.done:
                return
            await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        await rest(self._clock, jittered(seconds))
