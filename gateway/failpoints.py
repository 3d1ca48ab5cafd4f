"""Failpoints: the places at which a test can kill the process, around each commit, call to Higgsfield, and response.

`HFGATEWAY_FAILPOINT="before claim"` kills the process at that place with SIGKILL: nothing is flushed or sent. A name
that is not in `PLACES` is refused at the start, because a test with it would prove nothing. If the variable is not set,
a failpoint costs one comparison with None.
"""

import os
import signal

COMMITS = (
    "migration", "mark", "claim", "marked", "unsent",
    "accepted by submit", "accepted by webhook", "accepted by operator", "refused", "postponed", "ambiguous",
    "owner died", "reported by poll", "reported by webhook", "reported by cancel",
    "missing", "cancel asked", "expired by gateway", "expired by operator", "delivery", "webhook processed",
    "delete", "removal", "prune", "record", "api key", "revocation", "limits", "account", "correction",
    "callback", "callback changed", "deliveries taken", "delivery attempted", "delivery dropped", "redelivery",
    "archive planned", "archived", "archive postponed", "archive removed",
    "catalog",
    "character claim", "character bound", "character freed", "character removal", "character gone",
    "agent session", "agent message", "agent message bound", "agent message refused", "agent media",
)  # fmt: skip
"""Transactions of the store. "before": the statements have run and are not committed. "after": committed, but not yet
announced to anything in the process.

A transaction of `Generations.observe()` is named after the observation: see `step()` in `gateway/generations/state.py`.
"""
CALLS = (
    "credentials call",
    "submit call", "status call", "cancel call", "delete call", "estimate call", "upload call", "storage call",
    "callback call",
    "media call",
    "catalog call",
    "train call", "character call", "characters call", "character removal call",
    "agent session call", "agent messages call", "agent message call", "agent interrupt call", "agent media call",
    "agent confirm call",
)  # fmt: skip
"""Requests to Higgsfield, to its storage, and to receivers of callbacks.

"before": connected (except to the storage), no byte sent. "amid": the request is sent, the response not read.
"after": the response is read.
"""
ANSWERS = ("gRPC answer", "gRPC message", "HTTP answer", "HTTP message", "webhook answer")
"""Responses to callers and to Higgsfield, before and after they are written to the socket. A "message" is one of a
stream."""

PLACES = frozenset(
    [f"{when} {step}" for when in ("before", "after") for step in (*COMMITS, *CALLS, *ANSWERS)]
    + [f"amid {step}" for step in CALLS]
)

ARMED = os.environ.get("HFGATEWAY_FAILPOINT", "")
"""The place at which this process kills itself; empty if none."""
_when, _, _step = ARMED.partition(" ")
_BEFORE, _AMID, _AFTER = (_step if _when == when else None for when in ("before", "amid", "after"))


def before(step: str) -> None:
    """Kill the process if the failpoint before this step is armed."""
    if step == _BEFORE:
        _die()


def amid(step: str) -> None:
    """Kill the process if the failpoint amid this step is armed."""
    if step == _AMID:
        _die()


def after(step: str) -> None:
    """Kill the process if the failpoint after this step is armed. Call it before anything that follows the step."""
    if step == _AFTER:
        _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
