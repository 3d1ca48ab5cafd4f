"""Simulated callers and watchers. They record every response for the checker.

A caller uses one idempotency key for one generation. A watcher watches all generations of a tenant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.concurrency import retrieve_exception
from gateway.errors import GatewayError, Reason
from gateway.generations.adopt import Adoption
from gateway.generations.inputs import Input, ModelInput, SoulInput
from gateway.generations.model import Generation, RequestId
from gateway.generations.service import Submission
from gateway.generations.stores import Filter
from gateway.generations.watching.watch import Position
from gateway.process.core import Core
from tests.simulation.gateway import Endpoint, NotConnectedError
from tests.simulation.higgsfield import Higgsfield, Request
from tests.simulation.world import HOUR, World

T = TypeVar("T")
HEARTBEAT = 1200.0
"""Seconds between heartbeats of a watch."""
V1_PATHS = ("v1/text2image/keyframes", "generate/kling-2-5")
"""Endpoints with the form of v1 and no typed input."""


class CallerLeftError(Exception):
    """Raised when the caller has left before the response."""


@dataclass
class Observation:
    """A generation as it was shown to a caller."""

    at: float
    """The true time of the response."""
    method: str
    """The call that returned it: "submit", "get", "list", "cancel", "wait" or "watch"."""
    generation: Generation
    called_at: float
    """The true time of the call; for a watch that of the message."""


@dataclass
class Gap:
    """A message of a watch whose revision does not follow the one before."""

    at: float
    """The true time of the message."""
    generation_id: str
    before: int
    """The revision before the gap; 0 if there was none."""
    after: int


@dataclass
class History:
    """What one caller requested with its key, and what the gateway showed it. All times are true times."""

    key: str
    """The idempotency key. It is also the prompt, by which the ledger identifies the caller."""
    tenant: str
    api: str
    """"v1" or "v2"."""
    start_timeout: float | None = None
    """Seconds; sent with the submission."""
    first_submitted_at: float | None = None
    submit_times: list[float] = field(default_factory=list)
    """When each round of submit calls began."""
    observations: list[Observation] = field(default_factory=list)
    """In the order of the responses."""
    gaps: list[Gap] = field(default_factory=list)
    unused_at: float | None = None
    """When a lookup by the key found no generation, after which the caller made no further call."""
    adopts: bool = False
    """Whether it adopts a request that was made without the gateway, instead of submitting one."""
    delete_requested: bool = False
    deleted: str = ""
    """The id of the generation whose deletion was confirmed; empty if there is none."""
    final: Generation | None = None
    """The last generation of the key at the end of the run; None if it could not be read."""
    final_error: GatewayError | None = None
    """The error of that last read."""

    @property
    def ids(self) -> list[str]:
        """The ids of the generations that were created for the key, in the order in which they were first shown."""
        return list(dict.fromkeys(observation.generation.id for observation in self.observations))

    def first_seen_at(self, generation_id: str) -> float:
        """Return the true time at which a generation was first shown."""
        return min(observation.at for observation in self.observations if observation.generation.id == generation_id)


@dataclass
class View:
    """The generations of a tenant as a watcher knows them from the messages of its watch."""

    tenant: str
    generations: dict[str, Generation] = field(default_factory=dict)
    """By id."""
    gaps: list[Gap] = field(default_factory=list)
    caught_up: bool = False
    """Whether the present watch has sent everything that had happened before it began."""
    in_snapshot: bool = True
    """Whether the watch is sending the present state of all generations, and not yet changes."""
    ended_at: dict[str, float] = field(default_factory=dict)
    """The true time at which each generation was first shown in a final state, by id."""


@dataclass
class CallerBehaviour:
    """How callers and watchers behave. The first group are probabilities."""

    leaves: float = 0.0
    """Leaves a call or a watch before its end."""
    cancels: float = 0.0
    deletes: float = 0.0
    watches: float = 0.5
    submits_again: float = 0.3
    """Submits again with the same key, after there was a response."""
    uses_v1: float = 0.0
    sets_start_timeout: float = 0.0
    fails_when_saturated: float = 0.0
    """Wants an error instead of a place in the queue."""
    looks_up: bool = False
    """After a submission without a response, looks its key up. If there is no generation, it gives up, like a user who
    submits again with another key."""
    reads_back: bool = False
    """Watches from the first revision whenever it reconnects. Gets the generation again after each message of a watch,
    and after it has listed its generations."""

    most_gets: int = 2
    """How often it gets the generation, at most."""
    horizon: float = 300.0
    """Seconds within which a caller starts, and the longest pause before it does something else."""
    max_resubmit_delay: float = HOUR
    """Seconds until it submits again, at most."""
    max_disconnected: float = 5.0
    """Seconds for which a watcher stays disconnected, at most. The maximum grows by half with each failed attempt, up
    to 20 minutes."""


class Caller:
    """A caller that wants one generation, and repeats each call until there is a response."""

    def __init__(self, world: World, server: Endpoint, behaviour: CallerBehaviour, number: int) -> None:
        self.world = world
        self.server = server
        self.behaviour = behaviour
        rng = world.rng
        self.history = History(
            key=f"key-{number}",
            tenant=f"tenant-{rng.randrange(2)}",
            api="v1" if rng.random() < behaviour.uses_v1 else "v2",
            start_timeout=world.log_uniform(30.0, 4 * HOUR) if rng.random() < behaviour.sets_start_timeout else None,
        )
        self._number = number
        self._fail_when_saturated = rng.random() < behaviour.fails_when_saturated
        self._rng = world.rng

    async def run(self) -> None:
        """Submit; then watch, cancel, delete, submit again and get the generation, each with its probability."""
        behaviour, rng = self.behaviour, self._rng
        await self.world.sleep(rng.random() * behaviour.horizon)
        if await self.submit() is None:
            return
        actions: list[Callable[[], Awaitable[None]]] = []
        if rng.random() < behaviour.watches:
            actions.append(self.watch)
        if rng.random() < behaviour.cancels:
            actions.append(self.cancel)
        if rng.random() < behaviour.deletes:
            actions.append(self.delete)
        if rng.random() < behaviour.submits_again:
            actions.append(self.submit_again)
        actions.append(self.get_sometimes)
        await asyncio.gather(*(action() for action in actions))

    async def submit(self) -> Generation | None:
        """Submit with the caller's key until there is a response. Returns None if there is none."""
        history, now = self.history, self.world.now
        history.first_submitted_at = history.first_submitted_at or now
        history.submit_times.append(now)
        wait = self._rng.choice((0.0, 10.0, 60.0))
        submission = Submission(
            self._input(),
            b"",
            history.key,
            {"team": "ab"[self._number % 2]},
            start_timeout=history.start_timeout,
            fail_when_saturated=self._fail_when_saturated,
        )

        async def submit(core: Core) -> Generation:
            generation, _ = await core.service.submit(history.tenant, submission)
            if wait:
                return await core.service.wait(history.tenant, generation.id, _accepted_or_done, wait)
            return generation

        if not self.behaviour.looks_up:
            return await self._call_with_retries("submit", submit, attempts=40)
        for _ in range(40):
            if generation := await self._call_with_retries("submit", submit, attempts=1):
                return generation
            if await self._is_unused():
                return None
        return None

    async def _is_unused(self) -> bool:
        """Look the key up until there is a response. Returns whether there is no generation."""
        for _ in range(40):
            try:
                found = await self._call_or_leave(self.server.call(self._generations))
            except (GatewayError, NotConnectedError, CallerLeftError):
                await self.world.sleep(self.world.log_uniform(0.2, 60.0))
            else:
                self.history.unused_at = None if found else self.world.now
                return not found
        return False

    def _input(self) -> Input:
        """Return an input for the API of the caller. For v1 it depends on the number of the caller."""
        prompt = self.history.key
        if self.history.api == "v2":
            return SoulInput(prompt)
        if form := self._number % (1 + len(V1_PATHS)):
            return ModelInput(V1_PATHS[form - 1], {"prompt": prompt}, "v1")
        return SoulInput(prompt, width=2048, height=1152)

    async def submit_again(self) -> None:
        """Submit the same input with the same key once more, after a random delay."""
        await self.world.sleep(self.world.log_uniform(1.0, self.behaviour.max_resubmit_delay))
        await self.submit()

    async def get_sometimes(self) -> None:
        """Get the generation a few times, with random pauses."""
        for _ in range(self._rng.randrange(1 + self.behaviour.most_gets)):
            await self.world.sleep(self.world.log_uniform(0.1, self.behaviour.horizon))
            if self.behaviour.reads_back:
                await self._call_with_retries("list", self._last_generation, attempts=1)
            await self._get()

    async def cancel(self) -> None:
        """Cancel the generation after a random delay."""
        await self.world.sleep(self.world.log_uniform(0.01, self.behaviour.horizon))
        name = self.history.ids[-1]
        await self._call_with_retries("cancel", lambda core: core.service.cancel(self.history.tenant, name), attempts=3)

    async def delete(self) -> None:
        """Wait until the generation has ended, then delete it with up to ten attempts."""
        await self.world.sleep(self.world.log_uniform(1.0, self.behaviour.horizon))
        name = self.history.ids[-1]
        generation = await self._call_with_retries(
            "wait", lambda core: core.service.wait(self.history.tenant, name, _done, 20 * 60.0), attempts=20
        )
        if generation is None or not generation.done:
            return
        self.history.delete_requested = True
        for _ in range(self._rng.choice((1, 10))):
            try:
                await self._call_or_leave(self.server.call(lambda core: core.service.delete(self.history.tenant, name)))
            except GatewayError as error:
                if error.failure.reason is Reason.NOT_FOUND:
                    return
            except (NotConnectedError, CallerLeftError):
                pass
            else:
                self.history.deleted = name
                return
            await self.world.sleep(self.world.log_uniform(0.5, 30.0))

    async def watch(self) -> None:
        """Watch the generation until it ends, and reconnect after each error."""
        history = self.history
        name = history.ids[-1]
        seen = 0
        pause = 5.0
        for _ in range(500):
            seen = 0 if self.behaviour.reads_back else seen
            patience = self.world.log_uniform(1.0, 2 * HOUR)
            try:
                async with asyncio.timeout(patience if self.world.draw_fault(self.behaviour.leaves) else None):
                    async for message in self.server.stream(
                        lambda core: core.watches.one(history.tenant, name, seen, HEARTBEAT, always_valid)  # noqa: B023
                    ):
                        if message is None:
                            continue
                        generation = message[0]
                        pause = 5.0
                        self._observe("watch", generation, self.world.now)
                        if generation.revision != seen + 1:
                            history.gaps.append(Gap(self.world.now, name, seen, generation.revision))
                        seen = generation.revision
                        if self.behaviour.reads_back:
                            await self._get()
                return
            except GatewayError as error:
                if error.failure.reason is Reason.NOT_FOUND:
                    return
                if error.failure.reason is Reason.INVALID_INPUT:
                    seen = 0
            except (NotConnectedError, TimeoutError):
                pass
            await self.world.sleep(self.world.log_uniform(0.2, pause))
            pause = min(1.5 * pause, 1200.0)

    async def get_final(self) -> None:
        """Record the last generation of the key as `final`. Called at the end, when faults have stopped."""
        if not self.history.ids:
            return
        for _ in range(20):
            try:
                self.history.final = await self.server.call(self._last_generation)
            except GatewayError as error:
                self.history.final_error = error
            except NotConnectedError:
                await self.world.sleep(10.0)
                continue
            return

    async def _last_generation(self, core: Core) -> Generation:
        """Return the last generation of the key from the list, even if the caller got no response to its submit."""
        if found := await self._generations(core):
            return max(found, key=lambda one: one.spec.created_at)  # ids are in the order of the wall clock
        return await core.service.get(self.history.tenant, self.history.ids[-1])

    async def _generations(self, core: Core) -> Sequence[Generation]:
        """Return the generations of the key."""
        found, _ = await core.service.page(self.history.tenant, Filter(idempotency_key=self.history.key), None, 500)
        return found

    async def _get(self) -> None:
        name = self.history.ids[-1]

        async def get(core: Core) -> Generation:
            entry = await core.service.entry(self.history.tenant, name)
            if core.follower.refresh(entry):
                await core.follower.wait_for_refresh(entry)
            return entry.generation

        await self._call_with_retries("get", get, attempts=1)

    async def _call_with_retries(
        self, method: str, work: Callable[[Core], Awaitable[Generation]], *, attempts: int
    ) -> Generation | None:
        """Call until there is a response, an error that is not retryable, or the attempts are used up.

        Returns the generation of the response, or None.
        """
        history = self.history
        pause = 0.5
        for _ in range(attempts):
            retry_after: float | None = None
            called_at = self.world.now
            try:
                generation = await self._call_or_leave(self.server.call(work))
            except GatewayError as error:
                self.world.record(history.key, method, error.failure.reason.name)
                if not error.failure.retryable:
                    return None
                retry_after = error.failure.retry_after
            except (NotConnectedError, CallerLeftError):
                pass
            else:
                self._observe(method, generation, called_at)
                return generation
            await self.world.sleep(max(pause, retry_after or 0.0) * (0.5 + self._rng.random()))
            pause = min(2 * pause, 600.0)
        return None

    async def _call_or_leave(self, call: Awaitable[T]) -> T:
        """Return the response of a call, unless the caller leaves first.

        With the probability `leaves` it leaves after a random time, and CallerLeftError is raised.
        """
        if not self.world.draw_fault(self.behaviour.leaves):
            return await call
        task = asyncio.ensure_future(call)
        task.add_done_callback(retrieve_exception)
        await asyncio.wait([task], timeout=self.world.log_uniform(0.0005, 30.0))
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait([task])
        raise CallerLeftError

    def _observe(self, method: str, generation: Generation, called_at: float) -> None:
        self.world.record(self.history.key, method, generation.id[-6:], generation.revision, generation.state.name)
        self.history.observations.append(Observation(self.world.now, method, generation, called_at))


class Adopter(Caller):
    """A caller that makes its request at Higgsfield directly, and adopts it in place of each submission."""

    def __init__(
        self, world: World, server: Endpoint, behaviour: CallerBehaviour, number: int, higgsfield: Higgsfield
    ) -> None:
        super().__init__(world, server, behaviour, number)
        self.history.adopts, self.history.start_timeout = True, None
        self._higgsfield = higgsfield
        self._request: Request | None = None

    async def submit(self) -> Generation | None:
        """Adopt the request until there is a response. Returns None if there is none, or if it cannot be adopted."""
        history, now = self.history, self.world.now
        self._request = self._request or self._higgsfield.request_elsewhere(history.key, history.api)
        adoption = Adoption(RequestId(self._request.id), "v1" if history.api == "v1" else "v2", {"prompt": history.key})
        history.first_submitted_at = history.first_submitted_at or now
        history.submit_times.append(now)

        async def adopt(core: Core) -> Generation:
            generation, _ = await core.adopter.adopt(history.tenant, adoption)
            return generation

        return await self._call_with_retries("submit", adopt, attempts=40)


class Watcher:
    """Watches all generations of a tenant until the end of the run."""

    def __init__(self, world: World, server: Endpoint, behaviour: CallerBehaviour, tenant: str) -> None:
        self.world = world
        self.server = server
        self.behaviour = behaviour
        self.view = View(tenant)

    async def run(self) -> None:
        """Watch, and resume from the last position after each error."""
        view = self.view
        at: Position | None = None
        pause = self.behaviour.max_disconnected
        while True:
            view.caught_up = False
            fresh = True
            try:
                patience = self.world.log_uniform(5.0, min(2 * HOUR, self.behaviour.horizon))
                async with asyncio.timeout(patience if self.world.draw_fault(self.behaviour.leaves) else None):
                    async for seen in self.server.stream(
                        lambda core: core.watches.many(view.tenant, Filter(), at, HEARTBEAT, always_valid)  # noqa: B023
                    ):
                        if seen.reset or (fresh and at is None):
                            # The watch sends the present state. A generation that is not in it does not exist.
                            view.generations.clear()
                            view.in_snapshot = True
                        fresh = False
                        pause = self.behaviour.max_disconnected
                        at = seen.at
                        if seen.generation is not None:
                            self._apply(seen.generation)
                        if seen.caught_up:
                            view.caught_up, view.in_snapshot = True, False
            except (GatewayError, NotConnectedError, TimeoutError):
                pass
            await self.world.sleep(self.world.log_uniform(0.2, pause))
            pause = min(1.5 * pause, 1200.0)

    def _apply(self, generation: Generation) -> None:
        view = self.view
        before = view.generations.get(generation.id)
        seen = 0 if before is None else before.revision
        # A generation in the present state can have any revision.
        if generation.revision != seen + 1 and not (before is None and view.in_snapshot):
            view.gaps.append(Gap(self.world.now, generation.id, seen, generation.revision))
        view.generations[generation.id] = generation
        if generation.done:
            view.ended_at.setdefault(generation.id, self.world.now)
        self.world.record("watcher", view.tenant, generation.id[-6:], generation.revision, generation.state.name)


def _accepted_or_done(generation: Generation) -> bool:
    return generation.accept_time is not None or generation.done


def _done(generation: Generation) -> bool:
    return generation.done


def always_valid() -> None:
    """Let a watch continue. The gateway checks here whether the caller's API key is still valid."""
