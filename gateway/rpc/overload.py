"""What is refused while the gateway is overloaded: in an order, as little as will do, and before a request is read.

What decides is how long things wait: `BANDS` says from which wait on a few calls of a kind are refused, and from which
on all. Health checks, and whatever is open already, are never refused. docs/overload.md says what callers and operators
see of it.
"""

import itertools
import logging
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from gateway.errors import Failure, Reason
from gateway.rpc.errors import RpcError, rpc_error

log = logging.getLogger(__name__)


class Kind(IntEnum):
    """Kinds of calls, in the order in which they are given up."""

    WATCH = 0
    SUBMIT = 1
    READ = 2
    STATUS = 3


WEBHOOK = "webhook"
"""Stands for the deliveries of Higgsfield, which are no RPC."""
KINDS: Mapping[str, Kind] = {
    "WatchGeneration": Kind.WATCH,
    "WatchGenerations": Kind.WATCH,
    "SubmitGeneration": Kind.SUBMIT,
    "DeleteGeneration": Kind.SUBMIT,
    "ListGenerations": Kind.READ,
    "EstimateGeneration": Kind.READ,
    "ExplainGeneration": Kind.READ,
    "GetGeneration": Kind.STATUS,
    "WaitGeneration": Kind.STATUS,
    "CancelGeneration": Kind.STATUS,
    "CreateWatchToken": Kind.READ,
    "CreateUpload": Kind.SUBMIT,
    "UploadMedia": Kind.SUBMIT,
    "WatchCharacter": Kind.WATCH,
    "CreateCharacter": Kind.SUBMIT,
    "DeleteCharacter": Kind.SUBMIT,
    "GetCharacter": Kind.STATUS,
    "ListCharacters": Kind.READ,
    "ListModels": Kind.READ,
    "GetModel": Kind.READ,
    "ListMotions": Kind.READ,
    "ListSoulStyles": Kind.READ,
    "ListPresets": Kind.READ,
    "CreateCallback": Kind.SUBMIT,
    "DeleteCallback": Kind.SUBMIT,
    "UpdateCallback": Kind.SUBMIT,
    "RotateCallbackSecret": Kind.SUBMIT,
    "TestCallback": Kind.SUBMIT,
    "RedeliverDelivery": Kind.SUBMIT,
    "GetCallback": Kind.STATUS,
    "ListCallbacks": Kind.READ,
    "ListDeliveries": Kind.READ,
    "WatchSession": Kind.WATCH,
    "CreateSession": Kind.SUBMIT,
    "SendMessage": Kind.SUBMIT,
    "CreateMedia": Kind.SUBMIT,
    "ConfirmMedia": Kind.SUBMIT,
    "ListMessages": Kind.READ,
    "GetSession": Kind.STATUS,
    "InterruptSession": Kind.STATUS,
    WEBHOOK: Kind.STATUS,
}
"""By the name of the RPC, without its service; any other is a READ."""
BANDS: Mapping[Kind, tuple[float, float]] = {
    Kind.WATCH: (0.5, 1.0),
    Kind.SUBMIT: (1.0, 2.0),
    Kind.READ: (2.0, 3.0),
    Kind.STATUS: (3.0, 4.5),
}
"""Seconds that calls wait when the first of a kind are refused, and when all are; in between the share grows evenly.

500 callers that call again and again make each other wait for half a second: that is no overload.
"""
TURNS: Mapping[Kind, int] = {Kind.WATCH: 10, Kind.SUBMIT: 10, Kind.READ: 10, Kind.STATUS: 4}
"""Turns of the event loop that a call takes, about: where each turn is late, its caller waits so much longer."""
MOST_OPEN: Mapping[Kind, int] = {Kind.WATCH: 12_000, Kind.SUBMIT: 12_000, Kind.READ: 200, Kind.STATUS: 12_000}
"""Calls of one method that are under way at once: what bounds memory, however slowly they end."""
MOST_LARGE = {"UploadMedia": 200, WEBHOOK: 1_000}
"""The same for those that hold more, or may come from anybody."""

TICK = 0.1
"""Seconds from one measurement to the next."""
STANDING = 3
"""Measurements in a row for which a wait has to stand: a burst that is over by then is no overload, nor is a stall."""
FEW = 50
"""Calls that wait at once. While there are no more, refusing some would help nobody: the machine is slow, or stalls."""
RATE_OVER = 10
"""Measurements over which it is counted how many calls come."""
FALL = 0.1
"""By how much a share falls at most from one measurement to the next. It rises at once."""
MOST_FOR_QUEUES = 0.3
"""The largest share that is refused because calls wait in gRPC's queues, as long as what was let in is done in time.

To refuse a call costs gRPC and asyncio as much as an echo, a tenth of a generation's whole life, whatever we do. If all
were refused that come in a flood, nothing else would be done; so others stay in their queue, and gRPC drops those that
grow old there, which costs far less. Measured at five times the capacity: 0.6 leaves a quarter less time for
generations than 0.3; at 0 nobody hears when to come back, and too many are let in.
"""
CALM = 10.0
"""Seconds without a refusal after which an overload is over, for the log: it may come and go many times in between."""
MILD, SEVERE = (1.0, 3.0), (4.0, 12.0)
"""Between which seconds refused callers are asked to come back, spread evenly over them.

All of them do: what is refused again and again would otherwise be the larger part of the load.
"""
SEVERE_FROM = 3.0
"""Seconds of waiting from which on it is severe."""
_SPREAD = 32


def share_refused(kind: Kind, wait: float) -> float:
    """How many of the calls of a kind are refused, 0 to 1, while calls wait so long."""
    first, last = BANDS[kind]
    return min(max((wait - first) / (last - first), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Waits:
    """What is felt at one time, in seconds: by how much the event loop is late, and how far `behind` the follower is.

    Then how long calls wait in gRPC before we hear of them: `submissions`, and `others`.
    """

    lag: float = 0.0
    behind: float = 0.0
    submissions: float = 0.0
    others: float = 0.0


class Overload:
    """What is refused now. `feel` every `TICK`; whoever takes calls in asks the method's `gate`."""

    def __init__(self) -> None:
        self.asked = 0
        """Calls that came to a gate."""
        self.shares = dict.fromkeys(Kind, 0.0)
        """How many of each kind are refused, 0 to 1."""
        self._felt: deque[Waits] = deque([Waits()] * STANDING, maxlen=STANDING)
        self._asked: deque[int] = deque([0] * (RATE_OVER + 1), maxlen=RATE_OVER + 1)
        self._owed = dict.fromkeys(Kind, 0.0)
        self._answers = _OVERLOADED
        self._told = False
        self._calm = 0

    def feel(self, waits: Waits) -> None:
        """One `TICK` after the last time."""
        self._felt.append(waits)
        self._asked.append(self.asked)
        lag, behind, submissions, others = (self._standing(name) for name in Waits.__slots__)
        for kind, before in self.shares.items():
            inside, outside = TURNS[kind] * lag, others
            if kind <= Kind.SUBMIT:
                # They alone bring what is to be followed, and have queues of their own: no reason to refuse others.
                inside, outside = max(inside, behind), max(outside, submissions)
            share = max(share_refused(kind, inside), min(share_refused(kind, outside), MOST_FOR_QUEUES))
            self.shares[kind] = max(share, before - FALL, 0.0)
        worst = max(TURNS[Kind.SUBMIT] * lag, behind, submissions, others)
        self._answers = _SEVERELY_OVERLOADED if worst >= SEVERE_FROM else _OVERLOADED
        self._tell(worst)

    def gate(self, method: str, refused: Callable[[], None]) -> "Gate":
        """The way in for calls of a method, which is named in full or by its own name; `refused` counts."""
        name = method.rpartition("/")[2]
        kind = KINDS.get(name, Kind.READ)
        return Gate(self, kind, MOST_LARGE.get(name, MOST_OPEN[kind]), refused)

    def refusal(self, kind: Kind) -> RpcError | None:
        """What the next call of that kind is answered with: as many are refused as the share says, evenly."""
        share = self.shares[kind]
        if not share:
            return None
        owed = self._owed[kind] + share
        if owed < 1.0:
            self._owed[kind] = owed
            return None
        self._owed[kind] = owed - 1.0
        return next(self._answers)

    @property
    def active(self) -> bool:
        """Whether anything is refused."""
        return any(self.shares.values())

    def _standing(self, name: str) -> float:
        """The wait of that name, as far as it stands, and as it is not that of a few.

        So many wait as come in the time that each waits.
        """
        wait: float = min(getattr(waits, name) for waits in self._felt)
        rate = (self._asked[-1] - self._asked[0]) / (RATE_OVER * TICK)
        turns = TURNS[Kind.SUBMIT] if name == "lag" else 1
        return wait if rate * turns * wait > FEW else 0.0

    def _tell(self, wait: float) -> None:
        """Say so once when it begins, with what is felt then, and once when it has been over for a while."""
        self._calm = 0 if self.active else self._calm + 1
        if self.active and not self._told:
            log.warning("overloaded: calls are refused", extra={"wait_seconds": round(wait, 3)})
            self._told = True
        elif self._told and self._calm * TICK >= CALM:
            log.info("no longer overloaded")
            self._told = False


class Gate:
    """Where the calls of one method come in. Asked for each of them, before its request is read."""

    __slots__ = ("_kind", "_most", "_overload", "_refused", "open")

    def __init__(self, overload: Overload, kind: Kind, most: int, refused: Callable[[], None]) -> None:
        self.open = 0
        """Calls that are under way."""
        self._overload = overload
        self._kind = kind
        self._most = most
        self._refused = refused

    def refusal(self) -> RpcError | None:
        """What to answer a call with instead of serving it. The errors are shared: raise none of them."""
        self._overload.asked += 1
        refusal = next(_FULL) if self.open >= self._most else self._overload.refusal(self._kind)
        if refusal is not None:
            self._refused()
        return refusal


def _answers(message: str, delays: tuple[float, float]) -> Iterator[RpcError]:
    """The refusal again and again, each time with another delay: made once, for refusing has to be cheap."""
    first, last = delays
    spread = [first + (last - first) * number / _SPREAD for number in range(_SPREAD)]
    random.shuffle(spread)
    failures = (Failure(Reason.GATEWAY_OVERLOADED, message, retryable=True, retry_after=delay) for delay in spread)
    return itertools.cycle([rpc_error(failure) for failure in failures])


_MESSAGE = "the gateway is overloaded: nothing was done, come back later"
_OVERLOADED, _SEVERELY_OVERLOADED = _answers(_MESSAGE, MILD), _answers(_MESSAGE, SEVERE)
_FULL = _answers("too many such calls are under way: nothing was done, come back later", MILD)
