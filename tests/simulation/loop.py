"""An event loop whose time passes only when nothing is left to do, and whose every step can be the last of a process.

Nothing here depends on the machine: no socket, no thread, no clock. Tasks hash by the order of their creation, so that
sets of tasks have the same order in every run.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextvars import Context, ContextVar, copy_context
from typing import Any

EPOCH = 1_800_000_000.0
"""The time at which every simulation begins, in seconds since 1970."""

MOST_IN_A_SECOND = 20_000
"""Steps in one simulated second: more is a circle."""
MOMENT = 1e-6
"""Seconds that pass with each look at the timers, as on a real machine: sums of floats never keep time from passing."""


class Life:
    """One process: everything that runs in its context ends with it. `fuse` counts its steps down to `burnt`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.dead = False
        self.fuse = -1
        self.burnt: Callable[[], None] = lambda: None
        self.tasks: list[SimulatedTask] = []
        self._tidy_at = 256
        self.context = copy_context()
        self.context.run(LIFE.set, self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> SimulatedTask:
        """Run it as a task of this process."""
        task: SimulatedTask = self.context.run(asyncio.get_running_loop().create_task, work)  # type: ignore[assignment]
        return task

    def adopt(self, task: SimulatedTask) -> None:
        """One more task of it."""
        self.tasks.append(task)
        if len(self.tasks) > self._tidy_at:
            self.tasks = self.running()
            self._tidy_at = 2 * len(self.tasks) + 256

    def running(self) -> list[SimulatedTask]:
        """Its tasks that have not ended, oldest first."""
        return [task for task in self.tasks if not task.done()]

    def end(self) -> None:
        """End at once, as `kill -9` does: no handle of it runs again, and what its tasks clean up reaches nothing."""
        self.dead = True
        forget(self.running())
        self.tasks.clear()


def forget(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Let go of tasks that will never end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some never began
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with contextlib.suppress(BaseException):  # what dies has no say
                context = task.context if isinstance(task, SimulatedTask) else copy_context()
                context.run(task.get_coro().close)  # type: ignore[union-attr]


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class SimulatedTask(asyncio.Task):  # type: ignore[type-arg]
    """A task that belongs to the process in whose context it was made."""

    number = 0

    def __init__(self, work: Coroutine[Any, Any, Any], loop: SimulatedLoop, context: Context | None = None) -> None:
        loop.tasks_made += 1
        self.number = loop.tasks_made
        self.context = copy_context() if context is None else context
        super().__init__(work, loop=loop, context=self.context)
        life = self.context.get(LIFE)
        if life is not None:
            life.adopt(self)

    def __hash__(self) -> int:
        return self.number


class NothingToDoError(Exception):
    """Nothing is ready and no timer is set, so a task would wait for ever."""


class TooManyStepsError(Exception):
    """More steps than any run needs: something goes round in circles."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs one handle after the other. `steps` counts them; `now` is the true time."""

    def __init__(self, most_steps: int) -> None:
        super().__init__()
        self.now = EPOCH
        self.steps = 0
        self.tasks_made = 0
        self.failures: list[str] = []
        self._most_steps = most_steps
        self._second, self._steps_before = self.now, 0
        self.set_task_factory(_make_task)  # type: ignore[arg-type]
        self.set_exception_handler(lambda _, context: self.failures.append(_told(context)))

    def time(self) -> float:
        return self.now

    def timers(self) -> int:
        """How many timers are set."""
        return sum(not handle.cancelled() for handle in self._scheduled)  # type: ignore[attr-defined]

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        if not ready:
            self._pass_time()
        handle = ready.popleft()
        if handle._cancelled:
            return
        life = handle._context.get(LIFE)
        if life is not None:
            if life.dead:
                return
            if life.fuse >= 0:
                life.fuse -= 1
                if life.fuse < 0:
                    life.burnt()
                    if life.dead:
                        return
        self.steps += 1
        if self.steps > self._most_steps or self.steps - self._steps_before > MOST_IN_A_SECOND:
            raise TooManyStepsError
        handle._run()

    def _pass_time(self) -> None:
        scheduled, ready = self._scheduled, self._ready  # type: ignore[attr-defined]
        if self._timer_cancelled_count > 200 and self._timer_cancelled_count * 2 > len(scheduled):  # type: ignore[attr-defined]
            scheduled[:] = [handle for handle in scheduled if not handle._cancelled]
            heapq.heapify(scheduled)
            self._timer_cancelled_count = 0
        while not ready:
            if not scheduled:
                raise NothingToDoError
            self.now = max(self.now, scheduled[0]._when) + MOMENT
            if self.now - self._second > 1.0:
                self._second, self._steps_before = self.now, self.steps
            while scheduled and scheduled[0]._when <= self.now:
                handle = heapq.heappop(scheduled)
                handle._scheduled = False
                if handle._cancelled:
                    self._timer_cancelled_count -= 1
                else:
                    ready.append(handle)

    def _write_to_self(self) -> None:
        """There is no selector to be woken."""

    def _process_events(self, event_list: Any) -> None:
        """There are no events of sockets."""


def _make_task(
    loop: SimulatedLoop, work: Coroutine[Any, Any, Any] | Generator[Any, None, Any], context: Context | None = None
) -> SimulatedTask:
    return SimulatedTask(work, loop, context)  # type: ignore[arg-type]


def _told(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"
