"""Places where a test may kill the process: around every commit, every call to Higgsfield, and every answer.

`HFGATEWAY_FAILPOINT="before claim"` ends the process at that place as `kill -9` would: nothing is flushed, nothing is
told. A name that is none of `PLACES` is refused at the start, for it would kill nothing and prove nothing. Without the
variable a place costs a comparison with None.
"""

import os
import signal

COMMITS = (
    "migration", "mark", "claim", "marked", "unsent",
    "accepted by submit", "accepted by webhook", "accepted by operator", "refused", "postponed", "ambiguous",
    "owner died", "reported by poll", "reported by webhook", "reported by cancel",
    "missing", "cancel asked", "expired by gateway", "expired by operator", "delivery", "delivery dealt with",
    "deletion begun", "delete", "prune", "record", "api key", "revocation", "correction",
    "callback", "callback changed", "deliveries taken", "delivery attempted", "delivery dropped", "redelivery",
    "archive planned", "archived", "archive postponed", "archive removed",
    "catalog",
    "character claim", "character bound", "character freed", "character removal", "character gone",
    "agent session", "agent message", "agent message bound", "agent message refused", "agent media",
)  # fmt: skip
"""Steps of the store. Before: its statements have run and nothing is committed. After: nobody was told yet.

What `Generations.observe()` writes is named after the observation: see `step()` in `gateway/generations/state.py`.
"""
CALLS = (
    "submit call", "status call", "cancel call", "delete call", "estimate call", "upload call", "storage call",
    "callback call",
    "media call",
    "catalog call",
    "train call", "character call", "characters call", "character removal call",
    "agent session call", "agent messages call", "agent message call", "agent interrupt call", "agent media call",
    "agent confirm call",
)  # fmt: skip
"""Requests to Higgsfield, to its storage, and to receivers of callbacks.

Before: connected (to its storage: not yet), and not a byte sent. Amid: sent whole, the answer unread. After: read.
"""
ANSWERS = ("gRPC answer", "gRPC message", "HTTP answer", "HTTP message", "webhook answer")
"""What callers and Higgsfield are told, before and after it is handed to the socket; messages are those of streams."""

PLACES = frozenset(
    [f"{when} {step}" for when in ("before", "after") for step in (*COMMITS, *CALLS, *ANSWERS)]
    + [f"amid {step}" for step in CALLS]
)

ARMED = os.environ.get("HFGATEWAY_FAILPOINT", "")
"""The place at which this process is to die; empty: nowhere."""
_when, _, _step = ARMED.partition(" ")
_BEFORE, _AMID, _AFTER = (_step if _when == when else None for when in ("before", "amid", "after"))


def before(step: str) -> None:
    """The step comes next: die here if this place is the one."""
    if step == _BEFORE:
        _die()


def amid(step: str) -> None:
    """The step is under way: the same."""
    if step == _AMID:
        _die()


def after(step: str) -> None:
    """The step is done, and nothing came after it: the same."""
    if step == _AFTER:
        _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
