"""gRPC's poller lets the event loop finish; the system may not know of such a policy, or refuse it."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest

from gateway.rpc import poller
from tests.rpc.conftest import Start
from tests.support.running import soul


def policies() -> dict[str, int]:
    """Of the threads of this process, by their names."""
    found = {}
    for one in threading.enumerate():
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            found[one.name] = os.sched_getscheduler(one.native_id or 0)
    return found


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="the policy is Linux's")
async def test_the_poller_of_grpc_alone_does_not_interrupt_others(start: Start) -> None:
    running = await start()
    await running.submit(soul("a fox"))
    batch = [name for name, policy in policies().items() if policy == os.SCHED_BATCH]
    assert len(batch) == 1
    assert poller.POLLER in batch[0]
    assert policies()[threading.current_thread().name] == os.SCHED_OTHER


@pytest.mark.parametrize("missing", ["the policy", "the right to set it"])
async def test_without_it_calls_are_served_all_the_same(
    start: Start, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "not permitted")

    if missing == "the policy":
        monkeypatch.delattr(os, "SCHED_BATCH", raising=False)
    monkeypatch.setattr(os, "sched_setscheduler", refused, raising=False)
    running = await start()
    generation = await running.submit(soul("a fox"))
    assert (await running.get(generation.id)).id == generation.id
