"""Helpers for asyncio: tasks that a drain awaits, and signals that wake waiting tasks."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from itertools import islice
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from gateway.errors import gateway_overloaded

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

Signal = asyncio.Future[None]
"""What one task waits for. It is given once."""
DISK_THREADS = ThreadPoolExecutor(64, "disk")
"""The threads of `in_thread`. The default ones look up names: a disk that hangs would stop all calls to Higgsfield."""
WAKE_BATCH_SIZE = 200
"""Tasks that are woken in one iteration of the event loop. Ten thousand watchers would block it for a second."""
RESTART_DELAY = 10.0
"""Seconds until work that failed because of a bug is started again."""


def set_signal(signal: Signal) -> None:
    """Wake the task that waits for a signal. Does nothing if the signal was given or the wait was canceled."""
    if not signal.done():
        signal.set_result(None)


def retrieve_exception(task: "asyncio.Future[Any]") -> None:
    """Retrieve the exception of a task that has ended. Otherwise asyncio logs it if no caller is left to get it."""
    if not task.cancelled():
        task.exception()


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread, because disks may be slow. If the call is canceled, wait until `work` has ended.

    So `work` can use a file that the caller closes at the end.
    """
    working = asyncio.get_running_loop().run_in_executor(DISK_THREADS, work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():  # it may be canceled again
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({working})
        retrieve_exception(working)
        raise


async def keep_running(
    run: Callable[[], Coroutine[Any, Any, None]], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Run a part of the gateway. If a bug ends it, run it again: its work must not stop unnoticed."""
    while True:
        try:
            return await run()
        except Exception:
            part = {"part": run.__qualname__}
            log.critical("a part failed because of a bug; starting it again", exc_info=True, extra=part)
        await sleep(RESTART_DELAY)


class Signals:
    """The signals of all tasks that wait for one event.

    It holds no other object while no task waits: every generation in memory inherits from it.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[Signal, None] | None = None

    @property
    def has_waiters(self) -> bool:
        """Whether a task waits."""
        return bool(self._waiting)

    def signal(self) -> Signal:
        """Return a signal for the next `wake`. The caller returns it with `drop` when it stops waiting."""
        signal: Signal = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = {}
        self._waiting[signal] = None
        return signal

    def drop(self, signal: Signal) -> None:
        """Forget a signal, if it has not been given by `wake`."""
        if self._waiting is not None:
            self._waiting.pop(signal, None)

    def wake(self) -> None:
        """Give all signals, in the order in which they were made. Between many, other tasks get turns."""
        waiting, self._waiting = self._waiting, None
        if waiting:
            _give_some(iter(waiting), len(waiting))


def _give_some(signals: Iterator[Signal], left: int) -> None:
    """Give the next of `left` signals, and leave the others to the next iteration of the event loop."""
    for signal in islice(signals, WAKE_BATCH_SIZE):
        set_signal(signal)
    if left > WAKE_BATCH_SIZE:
        asyncio.get_running_loop().call_soon(_give_some, signals, left - WAKE_BATCH_SIZE)


class Wakeup:
    """Wakes the loop of one task, which calls `signal` at the start of each round and waits for it at the end."""

    __slots__ = ("_signal",)

    def __init__(self) -> None:
        self._signal: Signal | None = None

    def signal(self) -> Signal:
        """Return a signal for the next `wake`, in place of the one before."""
        self._signal = asyncio.get_running_loop().create_future()
        return self._signal

    def wake(self) -> None:
        """Give the signal. Does nothing before the first round."""
        if self._signal is not None:
            set_signal(self._signal)


class OwnedTasks:
    """Running tasks that a drain awaits, in the order of their start.

    They outlive the calls that start them, so that a submission or a write is always finished. Canceling the caller of
    `finish` does not cancel its task.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> "Iterator[asyncio.Task[Any]]":
        return iter(self._tasks)

    def start(self, work: Coroutine[Any, Any, T], ended: Callable[[], None] | None = None) -> "asyncio.Task[T]":
        """Start a task. `ended` is called when it is no longer among the running ones."""

        def done(task: asyncio.Task[Any]) -> None:
            self._tasks.pop(task, None)
            if not task.cancelled():
                task.exception()  # otherwise asyncio logs it as never retrieved if the caller has left
            if ended is not None:
                ended()

        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(done)
        return task

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in a task and return its result. The task continues if the caller is canceled."""
        # asyncio.shield would schedule three more callbacks, which are 2 % of the time of a submission.
        signal: Signal = asyncio.get_running_loop().create_future()
        task = self.start(work, lambda: set_signal(signal))
        await signal
        return task.result()

    async def drained(self) -> None:
        """Wait until no task is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self, within: float | None = None) -> bool:
        """Cancel all tasks and wait for their end, for at most `within` seconds. Return whether all have ended."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=within)
        return all(task.done() for task in tasks)


class InProgress:
    """Counts what each tenant has in progress, also for callers that have left: their calls hold no place any more."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        """Has only tenants with something in progress."""

    def __len__(self) -> int:
        return self._counts.total()

    @contextlib.contextmanager
    def counted(self, tenant: str, limit: int, what: str) -> Iterator[None]:
        """Count one more during the block. Raises GATEWAY_OVERLOADED if that would exceed the limit of the tenant."""
        if self._counts[tenant] >= limit:
            raise gateway_overloaded(f"the tenant has too many {what} in progress")
        self._counts[tenant] += 1
        try:
            yield
        finally:
            self._counts[tenant] -= 1
            self._counts += Counter()  # removes the zeros


class Owner(Protocol):
    """An object with its own tasks."""

    _tasks: OwnedTasks


Self = TypeVar("Self", bound=Owner)
Method = Callable[Concatenate[Self, P], Coroutine[Any, Any, T]]


def uninterrupted(method: "Method[Self, P, T]") -> "Method[Self, P, T]":
    """Finish a method even if its call is canceled, so that the store and the memory do not diverge."""

    @wraps(method)
    async def owned(self: Self, /, *arguments: P.args, **named: P.kwargs) -> T:
        return await self._tasks.finish(method(self, *arguments, **named))

    return owned
