"""Keeps gRPC's poller from interrupting the event loop.

grpc.aio has one thread that takes over what the network brings, five times for each call, and wakes the event loop for
it. As an ordinary thread it takes the processor from the loop each time, for next to nothing: four switches amid each
call, after which the loop goes on with cold caches. Linux lets a thread of the policy `SCHED_BATCH` wake up without
taking the processor from another one. It then runs on a free processor, as before, or when the loop has nothing left to
do, and brings everything at once. docs/decisions/0023 says what that gives, and what it costs.
"""

import contextlib
import os
import threading

POLLER = "_poll_wrapper"
"""A part of the thread's name, which Python takes from the function that it runs."""


def let_loop_finish() -> None:
    """Call it when gRPC serves. Where the system has no such policy, or refuses it, nothing happens."""
    if not hasattr(os, "SCHED_BATCH"):
        return
    for thread in threading.enumerate():
        if POLLER in thread.name and thread.native_id is not None:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(thread.native_id, os.SCHED_BATCH, os.sched_param(0))
