"""Decides which waiting generation of an account is sent next, and when.

Generations wait here, where canceling costs nothing, while the account is at its concurrency limit or while the gate is
closed. Within a tenant they are sent in the order of their ids; tenants take turns.

The gate closes when Higgsfield refuses more work or does not answer. After a pause one generation is sent as a probe;
the gate opens when the probe gets a usable answer. For a minute after that, submissions are sent at a limited rate.

The limit is configured or learned. A refusal of Higgsfield teaches it: the number in the response, or else the number
of generations that were running. It then grows by one for each minute without a refusal. If Higgsfield queues
submissions itself, it never refuses, and the first tenant would fill its queue. Therefore, while several tenants wait,
no more are sent than AHEAD times the number that was seen to run. All times are steady.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable

from gateway.errors import Failure, Reason
from gateway.generations.model import FOLLOWED, Generation, GenerationId, State, Steady

PROBE_PAUSE = 5.0
"""Seconds until the next probe, if Higgsfield sent no Retry-After."""
CREDENTIALS_PAUSE = 60.0
"""Seconds between probes while Higgsfield refuses the credentials."""
QUIET = 60.0
"""Seconds without a refusal after which a learned limit grows by one."""
LEAST_SHARED = 4
AHEAD = 2
"""While several tenants wait and no limit is known, AHEAD times the number seen to run is the limit, at least
LEAST_SHARED."""

LONGEST_RUN = 900.0
"""Seconds after which an UNCERTAIN generation no longer counts as running, until a longer run of its model is known.

A value that is too short does no harm: Higgsfield refuses the submission, which costs nothing.
"""

SILENCES = 5
"""The gate closes after this number of submissions in a row without a usable answer."""

SLOWLY, SLOWLY_FOR, AT_ONCE = 100.0, 60.0, 10
"""Submissions per second, for this number of seconds after the gate has opened, and the size of a burst."""

SILENT = Failure(Reason.UPSTREAM_UNAVAILABLE, "waiting: Higgsfield does not answer submissions", retryable=True)
TURN = Failure(Reason.UPSTREAM_SATURATED, "waiting: the account has reached its concurrency limit", retryable=True)


class Admission:
    """The queue, gate and limit of one account, in the memory of the process that sends.

    `limit` is the number of outputs that may run at once; 0 means that it is learned. `longest_run` returns the longest
    known run of a model in seconds, or None.
    """

    def __init__(self, limit: int = 0, longest_run: Callable[[str], float | None] = lambda _: None) -> None:
        self._fixed = limit
        self._longest_run = longest_run
        self._may_run_until: dict[GenerationId, float] = {}
        self._releases_at = math.inf
        self._learned: int | None = None
        self._learned_at = 0.0
        self._running: dict[GenerationId, int] = {}
        self._accepted: dict[GenerationId, int] = {}
        self._started: set[GenerationId] = set()
        self._most_started = 0
        self._queues: dict[str, list[GenerationId]] = {}
        """The waiting ids by tenant, oldest first. The tenants are in the order of their turns; no list is empty."""
        self._waits: dict[GenerationId, tuple[str, int, int]] = {}
        """For each waiting id: its tenant, its weight, and the size of its input in bytes."""
        self._bytes: dict[str, int] = {}
        self._closed_by: Failure | None = None
        self._opens_at = 0.0
        self._probe: GenerationId | None = None
        self._silences = 0
        self._slowly_until = self._next_at = 0.0

    def go_slowly(self, now: Steady) -> None:
        """Limit the rate of submissions for SLOWLY_FOR seconds, because many may have been waiting."""
        self._slowly_until = now + SLOWLY_FOR

    def track(self, generation: Generation) -> None:
        """Update the counts from a committed generation. If one ended, the next probe may be sent at once."""
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

    def holds_up(self, tenant: str, weight: int, now: Steady) -> Failure | None:
        """Return why a new submission of a tenant would have to wait; None if it can be sent now."""
        if self._closed_by is not None and (now < self._opens_at or self._probe is not None or self._queues):
            return self._closed_by
        if tenant in self._queues or not self._room(weight, now, len(self._queues) + 1):
            return TURN
        return None

    def next(self, now: Steady) -> GenerationId | None:
        """Return the id to send next, or None. The caller marks and sends it, or calls `stays_behind`."""
        if not self._queues or (self._closed_by is not None and (now < self._opens_at or self._probe is not None)):
            return None
        tenant, queue = next(iter(self._queues.items()))
        name = queue[0]
        _, weight, _ = self._waits[name]
        if not self._room(weight, now, len(self._queues)):
            return None
        self._leave(name)
        if queue:
            self._queues[tenant] = self._queues.pop(tenant)  # the tenant's next turn is the last one
        self.goes_ahead(name, weight, now)
        return name

    def goes_ahead(self, generation_id: GenerationId, weight: int, now: Steady) -> None:
        """Count a generation that is about to be sent as running. While the gate is closed it is the probe."""
        self._running[generation_id] = weight
        self._next_at = max(self._next_at, now) + 1 / SLOWLY
        if self._closed_by is not None:
            self._probe = generation_id

    def stays_behind(self, generation_id: GenerationId) -> None:
        """Take back `goes_ahead`: the generation was not sent."""
        self._running.pop(generation_id, None)
        if self._probe == generation_id:
            self._probe = None

    def close(self, generation_id: GenerationId, failure: Failure, now: Steady, pause: float) -> None:
        """Close the gate for `pause` seconds, and learn the limit if the account is saturated."""
        if self._probe == generation_id:
            self._probe = None
        if self._closed_by is None or now + pause >= self._opens_at:
            # A shorter pause does not replace a longer one, so that a Retry-After is respected.
            self._closed_by = failure
            self._opens_at = now + pause
        if failure.reason is Reason.UPSTREAM_SATURATED and not self._fixed:
            stated = failure.metadata.get("limit", "")
            ran = int(stated) if stated else sum(self._accepted.values())
            if ran:  # if this gateway runs nothing, other users of the account take its slots
                self._learned = ran
                self._learned_at = now

    def answered(self, generation_id: GenerationId, now: Steady, *, usable: bool) -> None:
        """Record the end of a submission. A usable answer to the probe opens the gate, even a refusal of its input.

        SILENCES submissions in a row without a usable answer close the gate: more would only become uncertain too.
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

    def wakes_at(self, now: Steady) -> float | None:
        """Return the time at which `next` may return another result without an event; None if there is none."""
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

    def position(self, generation_id: GenerationId) -> int:
        """Return the 1-based place of a generation in the order of sending; 0 if it does not wait.

        It is counted from the tenants' queues: every submission that has to wait asks for it.
        """
        if generation_id not in self._waits:
            return 0
        own, _, _ = self._waits[generation_id]
        turn = bisect_left(self._queues[own], generation_id)
        place, turns = turn + 1, turn + 1
        for tenant, queue in self._queues.items():
            if tenant == own:
                turns = turn  # the tenants behind this one have had one turn less by then
            else:
                place += min(len(queue), turns)
        return place

    def limit(self, now: Steady) -> int | None:
        """Return how many outputs may run at once; None if no limit is known."""
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
        """The number of waiting generations."""
        return len(self._waits)

    @property
    def running(self) -> int:
        """The number of outputs that may be running at Higgsfield; a batch counts each of its outputs."""
        return sum(self._running.values())

    def waiting_of(self, tenant: str) -> int:
        """Return the number of waiting generations of a tenant."""
        return len(self._queues.get(tenant, ()))

    def bytes_of(self, tenant: str) -> int:
        """Return the size of their inputs in bytes."""
        return self._bytes.get(tenant, 0)

    def _queue(self, generation: Generation) -> None:
        name, tenant = generation.id, generation.tenant
        if name not in self._waits:
            insort(self._queues.setdefault(tenant, []), name)
            size = len(generation.spec.input)
            self._waits[name] = (tenant, generation.spec.weight, size)
            self._bytes[tenant] = self._bytes.get(tenant, 0) + size

    def _leave(self, name: GenerationId) -> None:
        tenant, _, size = self._waits.pop(name)
        queue = self._queues[tenant]
        del queue[bisect_left(queue, name)]
        self._bytes[tenant] -= size
        if not queue:
            del self._queues[tenant], self._bytes[tenant]

    def _room(self, weight: int, now: Steady, tenants: int) -> bool:
        """Return whether one more generation of that weight may run while so many tenants wait."""
        if self._pause(now):
            return False
        self._release_uncertain(now)
        limit = self.limit(now)
        if tenants > 1 and limit is None:
            limit = max(LEAST_SHARED, AHEAD * self._most_started)
        if limit is None:
            return True
        running = self.running
        # A generation that is larger than the limit is sent when nothing else runs.
        return running + weight <= limit or not running

    def _release_uncertain(self, now: Steady) -> None:
        """Release the slots of UNCERTAIN generations that have probably ended."""
        if now < self._releases_at:
            return
        for name in [name for name, until in self._may_run_until.items() if until <= now]:
            del self._may_run_until[name]
            self._running.pop(name, None)
        self._releases_at = min(self._may_run_until.values(), default=math.inf)

    def _pause(self, now: Steady) -> float:
        """Return the seconds until the rate limit lets one more be sent."""
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
    """Return whether a generation may be running at Higgsfield, or is about to be sent."""
    uncertain = generation.state is State.UNCERTAIN and not generation.held
    return generation.marker is not None or generation.state in FOLLOWED or uncertain
