"""Work in a thread is awaited, however often its caller is canceled, so that no file is closed under it."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from gateway.concurrency import in_thread
from tests.support.running import WAIT_TIMEOUT


async def test_a_canceled_call_ends_after_its_thread_and_reports_nothing_else() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    began, may_end = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert may_end.wait(WAIT_TIMEOUT)
        raise ValueError("the file is closed")

    calling = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(began.wait, WAIT_TIMEOUT)
    for _ in range(3):
        calling.cancel()
        await asyncio.sleep(0)
    assert not calling.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await calling
    del calling
    gc.collect()
    assert reported == []
