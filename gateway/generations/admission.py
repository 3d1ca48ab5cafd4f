"""Who goes to Higgsfield next, for one account: a gate that closes when Higgsfield is full or away, and a limit.

While it cannot go ahead everything waits here, where canceling is free: first come, first served within a tenant, and
the tenants by turns. While the gate is closed one generation is sent as a probe when its time comes, and the gate opens
again by its success.

What has waited does not go all at once either: for a minute only so many go in a second.

The limit is the operator's, or learned: the number Higgsfield names when it refuses, else how many ran when it did; one
more after each quiet minute. Where Higgsfield queues by itself nothing is refused, and a tenant who came first would
fill its queue: so while several tenants wait, only about as much goes ahead as is seen to run. Times are steady.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable

from gateway.errors import Failure, Reason
from gateway.generations.model import FOLLOWED, Generation, State

PROBE_PAUSE = 5.0
"""Seconds until the next try where Higgsfield gave none (answers.md 7)."""
CREDENTIALS_PAUSE = 60.0
"""Seconds between probes while Higgsfield refuses the credentials."""
QUIET = 60.0
"""Seconds without a refusal after which a learned limit is tried one higher."""
LEAST_SHARED = 4
AHEAD = 2
"""While several tenants wait, so many times of what is seen to run goes ahead, LEAST_SHARED at least."""

LONGEST_RUN = 900.0
"""Seconds after which an UNCERTAIN generation counts as running no more, until longer runs of its model are known.

Too short does no harm: if Higgsfield is still full, it refuses, which costs nothing.
"""

SILENCES = 5
"""Submissions in a row without a usable answer after which the gate closes."""

SLOWLY, SLOWLY_FOR, AT_ONCE = 100.0, 60.0, 10
"""Submissions a second in the first minute after the gate has opened, and how many of them may go together."""

SILENT = Failure(Reason.UPSTREAM_UNAVAILABLE, "Higgsfield does not answer submissions: waiting", retryable=True)
TURN = Failure(Reason.UPSTREAM_SATURATED, "waiting for its turn: others of this account are running", retryable=True)


class Admission:
    """Decides, in memory, for the one process that sends. `limit` 0: learned.

    `longest_run`: the longest time that a generation of a model is known to have run.
    """

    def __init__(self, limit: int = 0, longest_run: Callable[[str], float | None] = lambda _: None) -> None:
        self._fixed = limit
        self._longest_run = longest_run
        self._may_run_until: dict[str, float] = {}
        self._releases_at = math.inf
        self._learned: int | None = None
        self._learned_at = 0.0
        self._running: dict[str, int] = {}
        self._accepted: dict[str, int] = {}
        self._started: set[str] = set()
        self._most_started = 0
        self._queues: dict[str, list[str]] = {}
        """Those that wait, oldest first, by tenants in the order of their turns; none is empty."""
        self._waits: dict[str, tuple[str, int, int]] = {}
        """Of each that waits its tenant, its weight, and the bytes of its input."""
        self._bytes: dict[str, int] = {}
        self._closed_by: Failure | None = None
        self._opens_at = 0.0
        self._probe: str | None = None
        self._silences = 0
        self._slowly_until = self._next_at = 0.0

    def go_slowly(self, now: float) -> None:
        """Many may have waited for this moment: let only so many go in a second for a while."""
        self._slowly_until = now + SLOWLY_FOR

    def noticed(self, generation: Generation) -> None:
        """Keep up with a committed generation. The end of one that ran lets the next be tried at once."""
        name = generation.id
        was_running = self._running.pop(name, None) is not None
        if takes_room(generation):
            self._running[name] = generation.spec.weight
        self._may_run_until.pop(name, None)
        if generation.state is State.UNCERTAIN and generation.marker is None:
            longest = self._longest_run(generation.spec.model_id) or LONGEST_RUN
            until = (generation.sent_at or generation.spec.created_at) + longest
            self._may_run_until[name] = until
            self._releases_at = min(self._releases_at, until)
        self._accepted.pop(name, None)
        if generation.state in FOLLOWED:
            self._accepted[name] = generation.spec.weight
        self._count_started(generation)
        if generation.waiting:
            self._queue(generation)
        elif name in self._waits:
            self._leave(name)
        closed_by = self._closed_by
        if not was_running or not generation.done or closed_by is None:
            return
        if closed_by.reason is Reason.UPSTREAM_SATURATED and closed_by.retry_after is None:
            self._opens_at = 0.0

    def holds_up(self, tenant: str, weight: int, now: float) -> Failure | None:
        """Why a new submission cannot go ahead right now; None when it can."""
        if self._closed_by is not None and (now < self._opens_at or self._probe is not None or self._queues):
            return self._closed_by
        if tenant in self._queues or not self._room(weight, now, len(self._queues) + 1):
            return TURN
        return None

    def next(self, now: float) -> str | None:
        """Who goes next; None while nobody may. The caller marks and sends it, or calls `stays_behind`."""
        if not self._queues or (self._closed_by is not None and (now < self._opens_at or self._probe is not None)):
            return None
        tenant, queue = next(iter(self._queues.items()))
        name = queue[0]
        _, weight, _ = self._waits[name]
        if not self._room(weight, now, len(self._queues)):
            return None
        self._leave(name)
        if queue:
            self._queues[tenant] = self._queues.pop(tenant)  # the last of the tenants now
        self.goes_ahead(name, weight, now)
        return name

    def goes_ahead(self, generation_id: str, weight: int, now: float) -> None:
        """It is about to be marked and sent, and takes its room already; while the gate is closed it is the probe."""
        self._running[generation_id] = weight
        self._next_at = max(self._next_at, now) + 1 / SLOWLY
        if self._closed_by is not None:
            self._probe = generation_id

    def stays_behind(self, generation_id: str) -> None:
        """It was not sent after all."""
        self._running.pop(generation_id, None)
        if self._probe == generation_id:
            self._probe = None

    def close(self, generation_id: str, failure: Failure, now: float, pause: float) -> None:
        """Higgsfield cannot take more for now."""
        if self._probe == generation_id:
            self._probe = None
        if self._closed_by is None or now + pause >= self._opens_at:
            # A shorter pause never cuts a longer one: a Retry-After is kept.
            self._closed_by = failure
            self._opens_at = now + pause
        if failure.reason is Reason.UPSTREAM_SATURATED and not self._fixed:
            told = failure.metadata.get("limit", "")
            ran = int(told) if told else sum(self._accepted.values())
            if ran:  # with nothing of ours running, it is others who use the account
                self._learned = ran
                self._learned_at = now

    def answered(self, generation_id: str, now: float, *, usable: bool) -> None:
        """A submission is over. A usable answer to a probe opens the gate, whatever it said of the probe's own input.

        Several in a row without one close it: each more would only be uncertain too.
        """
        probed = self._probe == generation_id
        if probed:
            self._probe = None
        self._silences = 0 if usable else self._silences + 1
        if probed and usable:
            self._closed_by = None
            self.go_slowly(now)
        elif not usable and (self._closed_by is not None or self._silences >= SILENCES):
            self.close(generation_id, SILENT, now, PROBE_PAUSE)

    def wakes_at(self, now: float) -> float | None:
        """When to ask `next` again although nothing has happened; None where only an event can help."""
        if not self._queues:
            return None
        if self._closed_by is not None and (self._probe is not None or now < self._opens_at):
            return None if self._probe is not None else self._opens_at
        pause = self._pause(now)
        if pause:
            return now + pause
        grows_at = math.inf if self._learned is None else max(self._learned_at + QUIET, now + 1.0)
        at = min(grows_at, max(self._releases_at, now))
        return None if at == math.inf else at

    def position(self, generation_id: str) -> int:
        """The 1-based place among those that wait, as they will go; 0 where it does not wait.

        Counted, not looked up in a list of all: it is asked for with every submission that has to wait.
        """
        if generation_id not in self._waits:
            return 0
        own, _, _ = self._waits[generation_id]
        turn = bisect_left(self._queues[own], generation_id)
        place, turns = turn + 1, turn + 1
        for tenant, queue in self._queues.items():
            if tenant == own:
                turns = turn  # who comes behind its tenant has had one turn less when it goes
            else:
                place += min(len(queue), turns)
        return place

    def limit(self, now: float) -> int | None:
        """How many may run; None where nothing is known to bind."""
        if self._fixed:
            return self._fixed
        if self._learned is None:
            return None
        quiet = int((now - self._learned_at) / QUIET)
        if quiet > 0:
            self._learned += quiet
            self._learned_at += quiet * QUIET
        return self._learned

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waits)

    @property
    def running(self) -> int:
        """How many may be running at Higgsfield, outputs of batches counted."""
        return sum(self._running.values())

    def waiting_of(self, tenant: str) -> int:
        """How many of one tenant wait."""
        return len(self._queues.get(tenant, ()))

    def bytes_of(self, tenant: str) -> int:
        """The bytes of their inputs."""
        return self._bytes.get(tenant, 0)

    def _queue(self, generation: Generation) -> None:
        name, tenant = generation.id, generation.tenant
        if name not in self._waits:
            insort(self._queues.setdefault(tenant, []), name)
            size = len(generation.spec.input)
            self._waits[name] = (tenant, generation.spec.weight, size)
            self._bytes[tenant] = self._bytes.get(tenant, 0) + size

    def _leave(self, name: str) -> None:
        """It waits no longer."""
        tenant, _, size = self._waits.pop(name)
        queue = self._queues[tenant]
        del queue[bisect_left(queue, name)]
        self._bytes[tenant] -= size
        if not queue:
            del self._queues[tenant], self._bytes[tenant]

    def _room(self, weight: int, now: float, tenants: int) -> bool:
        """Whether one more of that weight may run, while so many tenants want to go ahead."""
        if self._pause(now):
            return False
        self._release_uncertain(now)
        limit = self.limit(now)
        if tenants > 1 and limit is None:
            limit = max(LEAST_SHARED, AHEAD * self._most_started)
        if limit is None:
            return True
        running = self.running
        # One that is larger than the whole limit goes alone.
        return running + weight <= limit or not running

    def _release_uncertain(self, now: float) -> None:
        """Give back the room of UNCERTAIN generations that can hardly run any more."""
        if now < self._releases_at:
            return
        for name in [name for name, until in self._may_run_until.items() if until <= now]:
            del self._may_run_until[name]
            self._running.pop(name, None)
        self._releases_at = min(self._may_run_until.values(), default=math.inf)

    def _pause(self, now: float) -> float:
        """Seconds until one more may go, where they go slowly."""
        if now >= self._slowly_until:
            self._next_at = 0.0
            return 0.0
        return max(self._next_at - AT_ONCE / SLOWLY - now, 0.0)

    def _count_started(self, generation: Generation) -> None:
        if generation.state is State.IN_PROGRESS:
            self._started.add(generation.id)
            self._most_started = max(self._most_started, len(self._started))
        else:
            self._started.discard(generation.id)


def takes_room(generation: Generation) -> bool:
    """Whether it may be running at Higgsfield, or is about to."""
    uncertain = generation.state is State.UNCERTAIN and not generation.held
    return generation.marker is not None or generation.state in FOLLOWED or uncertain
