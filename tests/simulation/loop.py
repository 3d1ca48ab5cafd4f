"""An asyncio event loop with simulated time, and simulated processes that can be killed after any step.

The loop uses no socket, no thread and no clock of the machine. Time advances to the next timer only when no callback is
ready. A task hashes by its creation number, so that sets of tasks iterate in the same order in every run.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import inspect
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from contextvars import Context, ContextVar, copy_context
from typing import Any

START_TIME = 1_800_000_000.0
"""The time at which every simulation begins, in seconds since the Unix epoch."""

MAX_STEPS_PER_SECOND = 20_000
"""Steps within one simulated second. A run that takes more is in a busy loop."""
MAX_CLOSES = 100
"""How often a coroutine is closed. One that awaits something in a `finally` block has to be closed again."""
MIN_ADVANCE = 1e-6
"""Seconds between the deadline of a timer and the time at which it fires. Without this gap, a deadline that a float
rounds to the present time could keep time from advancing."""


class Process:
    """A simulated process of the gateway. It owns every task and callback that runs in its context."""

    def __init__(self, number: int) -> None:
        self.number = number
        """The processes of a run are numbered from 1 on."""
        self.dead = False
        """Set at the moment of a crash: from then on the loop drops the callbacks of this process."""
        self.steps_left = -1
        """Steps until `on_steps_exhausted` is called; -1 means no limit."""
        self.on_steps_exhausted: Callable[[], None] = lambda: None
        self.wall_skew: float | None = None
        """Seconds by which its wall clock is ahead of the true time; None if it is that of the world."""
        self.cut_off = False
        """Whether nothing passes between it and Higgsfield."""
        self._stopped: list[asyncio.Handle] | None = None
        """The callbacks that have become ready since `stop`; None while it runs."""
        self.tasks: list[SimulatedTask] = []
        self._prune_at = 256
        self.context = copy_context()
        self.context.run(CURRENT_PROCESS.set, self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> SimulatedTask:
        """Start a task that belongs to this process."""
        task: SimulatedTask = self.context.run(asyncio.get_running_loop().create_task, work)  # type: ignore[assignment]
        return task

    def add_task(self, task: SimulatedTask) -> None:
        """Record a task of this process, and from time to time drop those that are done."""
        self.tasks.append(task)
        if len(self.tasks) > self._prune_at and not self.dead:
            self.tasks = self.unfinished_tasks()
            self._prune_at = 2 * len(self.tasks) + 256

    def unfinished_tasks(self) -> list[SimulatedTask]:
        """Return the tasks that are not done, oldest first."""
        return [task for task in self.tasks if not task.done()]

    @property
    def stopped(self) -> bool:
        """Whether none of its callbacks runs until `resume`."""
        return self._stopped is not None

    def stop(self) -> None:
        """Stop the process as SIGSTOP does."""
        self._stopped = self._stopped or []

    def resume(self) -> None:
        """Let a stopped process continue. What has become ready since it was stopped runs at once."""
        ready, self._stopped = self._stopped or [], None
        asyncio.get_running_loop()._ready.extend(ready)  # type: ignore[attr-defined]

    def holds(self, handle: asyncio.Handle) -> bool:
        """Keep a callback until the process is resumed. Returns False if it is not stopped."""
        if self._stopped is None:
            return False
        self._stopped.append(handle)
        return True

    def kill(self) -> None:
        """End the process as `kill -9` does: none of its callbacks runs again, and its tasks are discarded."""
        self.dead = True
        discard_tasks(self.tasks)  # also those that the `finally` blocks of others start
        self.tasks.clear()


def discard_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Close the coroutines of tasks that will never finish, without the warnings of asyncio."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # coroutines that never started
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            context = task.context if isinstance(task, SimulatedTask) else copy_context()
            coroutine: Any = task.get_coro()
            for one in [*_not_started(coroutine), coroutine]:
                for _ in range(MAX_CLOSES):
                    # An error in the `finally` of a dead process has no effect.
                    with contextlib.suppress(BaseException):
                        context.run(one.close)
                        break


def _not_started(coroutine: Any) -> list[Any]:
    """Return the coroutines that one would await which was not started. Closing it keeps them since Python 3.13."""
    # A task that closes an async generator, which was collected, runs another kind of awaitable.
    if not inspect.iscoroutine(coroutine) or inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED:
        return []
    return [one for one in coroutine.cr_frame.f_locals.values() if inspect.iscoroutine(one)]


CURRENT_PROCESS: ContextVar[Process | None] = ContextVar("current_process", default=None)


class SimulatedTask(asyncio.Task):  # type: ignore[type-arg]
    """A task that belongs to the process in whose context it was created, if any."""

    number = 0

    def __init__(self, work: Coroutine[Any, Any, Any], loop: SimulatedLoop, context: Context | None = None) -> None:
        loop.tasks_made += 1
        self.number = loop.tasks_made
        self.context = copy_context() if context is None else context
        super().__init__(work, loop=loop, context=self.context)
        process = self.context.get(CURRENT_PROCESS)
        if process is not None:
            process.add_task(self)

    def __hash__(self) -> int:
        return self.number


class DeadlockError(Exception):
    """Raised when no callback is ready and no timer is set, so that the run could never continue."""


class StepLimitError(Exception):
    """Raised when a run takes more steps than any correct run: it makes no progress."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs one callback at a time. Raises StepLimitError after `max_steps` callbacks, and DeadlockError."""

    def __init__(self, max_steps: int) -> None:
        super().__init__()
        self.now = START_TIME
        """The true time, in seconds since the Unix epoch."""
        self.steps = 0
        """Callbacks that have run so far."""
        self.tasks_made = 0
        self.ended = False
        self.unhandled_errors: list[str] = []
        """Errors that asyncio would log, such as exceptions that were never retrieved."""
        self._max_steps = max_steps
        self._window_start, self._window_start_steps = self.now, 0
        self.set_task_factory(_make_task)  # type: ignore[arg-type]
        self.set_exception_handler(lambda _, context: self._on_unhandled_error(context))

    def time(self) -> float:
        return self.now

    def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        """Close a generator, unless its process is dead or the run is over: then it is suspended indefinitely."""
        process = CURRENT_PROCESS.get()
        if not self.ended and (process is None or not process.dead):
            super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]

    def _on_unhandled_error(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, RuntimeError) and str(error).startswith("aclose()"):
            return  # asyncio closes the generators of a killed process, which are suspended indefinitely
        task = context.get("future")
        owner = task.context.get(CURRENT_PROCESS) if isinstance(task, SimulatedTask) else None
        if owner is not None and owner.dead:
            return
        self.unhandled_errors.append(_describe(context))

    def give_up(self) -> None:
        """Let the next step raise StepLimitError."""
        self._max_steps = self.steps

    def timers(self) -> int:
        """Return the number of timers that are set."""
        return sum(not handle.cancelled() for handle in self._scheduled)  # type: ignore[attr-defined]

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        if not ready:
            self._pass_time()
        handle = ready.popleft()
        if handle._cancelled:
            return
        process = handle._context.get(CURRENT_PROCESS)
        if process is not None:
            if process.dead or process.holds(handle):
                return
            if process.steps_left >= 0:
                process.steps_left -= 1
                if process.steps_left < 0:
                    process.on_steps_exhausted()
                    if process.dead or process.holds(handle):
                        return
        self.steps += 1
        if self.steps > self._max_steps or self.steps - self._window_start_steps > MAX_STEPS_PER_SECOND:
            raise StepLimitError
        handle._run()

    def _pass_time(self) -> None:
        scheduled, ready = self._scheduled, self._ready  # type: ignore[attr-defined]
        if self._timer_cancelled_count > 200 and self._timer_cancelled_count * 2 > len(scheduled):  # type: ignore[attr-defined]
            scheduled[:] = [handle for handle in scheduled if not handle._cancelled]
            heapq.heapify(scheduled)
            self._timer_cancelled_count = 0
        while not ready:
            if not scheduled:
                raise DeadlockError
            self.now = max(self.now, scheduled[0]._when) + MIN_ADVANCE
            if self.now - self._window_start > 1.0:
                self._window_start, self._window_start_steps = self.now, self.steps
            while scheduled and scheduled[0]._when <= self.now:
                handle = heapq.heappop(scheduled)
                handle._scheduled = False
                if handle._cancelled:
                    self._timer_cancelled_count -= 1
                else:
                    ready.append(handle)

    def _write_to_self(self) -> None:
        """Do nothing: there is no selector to wake."""

    def _process_events(self, event_list: Any) -> None:
        """Do nothing: there are no socket events."""


def _make_task(
    loop: SimulatedLoop, work: Coroutine[Any, Any, Any] | Generator[Any, None, Any], context: Context | None = None
) -> SimulatedTask:
    return SimulatedTask(work, loop, context)  # type: ignore[arg-type]


def _describe(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"
