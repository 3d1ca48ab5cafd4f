"""Decides which waiting generation of an account is sent next, and when.

Generations wait here, where canceling costs nothing, while the account is at its concurrency limit or while the gate is
closed. Within a tenant they are sent in the order of their ids; tenants take turns. A turn is a number. A tenant's next
turn is one after its last one, but never before the turn that is being served. The lowest turn is sent first, so a
tenant that comes later goes before a tenant that has just sent several.

The gate closes when Higgsfield refuses more work or does not respond. After a pause one generation is sent as a probe;
the gate opens when the probe gets a usable response. For a minute after that, submissions are sent at a limited rate.

The limit is configured or learned. A refusal of Higgsfield sets a learned limit to the number in the response, or else
to the number of outputs that were running. It then grows by one for each minute without a refusal.

If Higgsfield queues submissions itself, it never refuses, and the first tenant would fill its queue before a second
one submits. Therefore, while the gateway has several tenants and no limit is known, few outputs of each tenant are sent
before they are seen to start: 2 at first, then half as many as were seen to run at once. The follower polls for starts
while something waits for that (`wants_starts`). An output counts for UNSTARTED_COUNTS_FOR seconds after it was sent,
because it may also wait for its model alone. All times are steady.
"""

import itertools
import math
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import replace

from gateway.errors import Failure, Reason
from gateway.generations.admission.slots import Slot, Slots
from gateway.generations.model import FOLLOWED, Generation, GenerationId, State, Steady

PROBE_PAUSE = 5.0
"""Seconds until the next probe, if Higgsfield sent no Retry-After."""
MIN_PAUSE = 1.0
"""Seconds until the next probe at least. A Retry-After can be 0, also because the clocks differ."""
CREDENTIALS_PAUSE = 60.0
"""Seconds between probes while Higgsfield refuses the credentials."""
LIMIT_GROWTH_INTERVAL = 60.0
"""Seconds without a refusal after which a learned limit grows by one."""
OUTPUTS_AT_FIRST = 2
"""The outputs of a tenant that are sent before any was seen to run: a new account may run 2."""
UNSTARTED_COUNTS_FOR = 30.0
"""Seconds for which an output that has not started keeps the next ones of its tenant back."""

DEFAULT_MAX_RUN_TIME = 900.0
"""Seconds after which an UNCERTAIN generation no longer counts as running, until a longer run of its model is known.

A value that is too short does no harm: Higgsfield refuses the submission, which costs nothing.
"""

SILENT_IN_A_ROW = 5
"""The gate closes after this number of submissions in a row without a usable response."""

RECOVERY_RATE, RECOVERY_FOR, RECOVERY_BURST = 100.0, 60.0, 10
"""After the gate has opened: submissions per second, for how many seconds, and how many may be sent at once."""

REFUSED_FOR = 600.0
"""Seconds for which new submissions of a pool avoid an account that has refused its credentials or has no credits."""

SILENCE_DELAY = Failure(Reason.UPSTREAM_UNAVAILABLE, "waiting: Higgsfield does not answer submissions", retryable=True)
LIMIT_DELAY = Failure(
    Reason.UPSTREAM_SATURATED, "waiting: the account has reached its concurrency limit", retryable=True
)
SHARE_DELAY = Failure(Reason.UPSTREAM_SATURATED, "waiting: the tenant uses its share of the account", retryable=True)
STARTS_DELAY = Failure(Reason.UPSTREAM_SATURATED, "waiting: earlier generations have not started yet", retryable=True)


class Admission:
    """The queue, gate and limit of one account, in the memory of the process that sends.

    `limit` is the number of outputs that may run at once; 0 means that it is learned. `longest_run` returns the longest
    known run of a model in seconds, or None. `several_tenants` returns whether more than one tenant may submit.
    `share` returns how many percent of the limit the outputs of a tenant may use, or None. One is always allowed.
    """

    def __init__(
        self,
        limit: int = 0,
        longest_run: Callable[[str], float | None] = lambda _: None,
        several_tenants: Callable[[], bool] = lambda: False,
        share: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        self._fixed = limit
        self._longest_run = longest_run
        self._several_tenants = several_tenants
        self._share = share
        self._learned: int | None = None
        self._learned_at = 0.0
        self._running = Slots()
        self._most_started = 0
        self._unstarted: dict[str, dict[GenerationId, tuple[int, float]]] = {}
        """The weights and times of sending of generations that have not started, by tenant, oldest first."""
        self._queues: dict[str, list[GenerationId]] = {}
        """The waiting ids by tenant, oldest first; no list is empty. It is the order of tenants with equal turns."""
        self._turns: dict[str, int] = {}
        """The turn after its last one, by tenant."""
        self._turn = 0
        """The turn that was served last."""
        self._waits: dict[GenerationId, tuple[str, int, int]] = {}
        """For each waiting id: its tenant, its weight, and the size of its input in bytes."""
        self._bytes: dict[str, int] = {}
        self._closed_by: Failure | None = None
        self._opens_at = 0.0
        self._probe: GenerationId | None = None
        self._silences = 0
        self._slowly_until = self._next_at = 0.0
        self._refused_until = 0.0

    def limit_rate(self, now: Steady) -> None:
        """Limit the rate of submissions for RECOVERY_FOR seconds, because many may have been waiting."""
        self._slowly_until = now + RECOVERY_FOR

    def track(self, generation: Generation) -> None:
        """Update the counts from a committed generation. If one ended, the next probe may be sent at once."""
        generation_id = generation.id
        before = self._running.pop(generation_id)
        if takes_room(generation):
            until = math.inf
            if generation.state is State.UNCERTAIN and generation.marker is None:
                longest = self._longest_run(generation.spec.model_id) or DEFAULT_MAX_RUN_TIME
                until = (generation.sent_at or generation.spec.created_at) + longest
            self._running.put(generation_id, Slot(generation.tenant, generation.spec.weight, generation.state, until))
        accepted = generation.state in FOLLOWED and (before is None or before.state not in FOLLOWED)
        if self._learned is not None and accepted:
            # A response that came before the refusal may be stored after it.
            self._learned = max(self._learned, self._running.outputs_in(FOLLOWED))
        if generation.state is State.IN_PROGRESS:
            self._most_started = max(self._most_started, self._running.outputs_in({State.IN_PROGRESS}))
        if generation.marker is None and generation.state is not State.QUEUED:
            self._drop_unstarted(generation.tenant, generation_id)
        elif before is None or before.state is not State.QUEUED:  # no later change lets it count again
            sent = self._unstarted.setdefault(generation.tenant, {})
            sent.setdefault(generation_id, (generation.spec.weight, generation.sent_at or generation.spec.created_at))
        if generation.waiting:
            self._queue(generation)
        elif generation_id in self._waits:
            self._leave(generation_id)
        closed_by = self._closed_by
        if before is None or not generation.done or closed_by is None:
            return
        if closed_by.reason is Reason.UPSTREAM_SATURATED and closed_by.retry_after is None:
            self._opens_at = 0.0

    def forget(self, generation: Generation) -> None:
        """Stop counting a generation, because its credentials were removed."""
        generation_id = generation.id
        self._running.pop(generation_id)
        self._drop_unstarted(generation.tenant, generation_id)
        if generation_id in self._waits:
            self._leave(generation_id)

    def delay_for(self, tenant: str, weight: int, now: Steady) -> Failure | None:
        """Return the `Generation.delay` of a new submission that has to wait; None if it can be sent now."""
        if self._closed_by is not None and (self._queues or self._blocks(now)):
            return self._closed_by
        if not self._within_share(tenant, weight, now):
            return SHARE_DELAY
        if self._takes_turns:
            return STARTS_DELAY if tenant in self._queues or self._is_ahead(tenant, weight, now) else None
        # A tenant that waits only for its share does not keep the others back.
        others_wait = bool(self._queues) and self._next_tenant(now) is not None
        waits = tenant in self._queues or others_wait or not self._room(weight, now)
        return LIMIT_DELAY if waits else None

    def next(self, now: Steady) -> GenerationId | None:
        """Return the id to send next, or None. The caller marks and sends it, or calls `release`."""
        if not self._queues or self._blocks(now):
            return None
        tenant = self._next_tenant(now)
        if tenant is None:
            return None
        queue = self._queues[tenant]
        generation_id = queue[0]
        weight = self._first_weight(tenant)
        if not self._room(weight, now):
            return None
        self._leave(generation_id)
        if queue:
            self._queues[tenant] = self._queues.pop(tenant)  # behind the other tenants with its next turn
        self.reserve(generation_id, tenant, weight, now)
        return generation_id

    def reserve(self, generation_id: GenerationId, tenant: str, weight: int, now: Steady) -> None:
        """Reserve room for a generation that is about to be sent. While the gate is closed, it becomes the probe."""
        self._running.put(generation_id, Slot(tenant, weight))
        self._forget_late_starts(tenant, now)
        self._unstarted.setdefault(tenant, {})[generation_id] = (weight, now)
        self._turn = self._next_turn(tenant)
        self._turns[tenant] = self._turn + 1
        self._next_at = max(self._next_at, now) + 1 / RECOVERY_RATE
        if self._closed_by is not None:
            self._probe = generation_id

    def release(self, generation_id: GenerationId) -> None:
        """Return the room that `reserve` took, because the generation was not sent."""
        slot = self._running.pop(generation_id)
        if slot is not None:
            self._drop_unstarted(slot.tenant, generation_id)
        if self._probe == generation_id:
            self._probe = None

    def close(self, generation_id: GenerationId, failure: Failure, now: Steady, pause: float) -> None:
        """Close the gate for `pause` seconds, and learn the limit if the account is saturated."""
        if self._probe == generation_id:
            self._probe = None
        if self._closed_by is None or now + pause >= self._opens_at:
            # A shorter pause does not replace a longer one, so that a Retry-After is respected.
            self._closed_by = replace(failure, response=None)  # it delays other tenants, too
            self._opens_at = now + pause
        if failure.reason is Reason.UPSTREAM_SATURATED and not self._fixed:
            stated = failure.metadata.get("limit", "")
            ran = int(stated) if stated else self._running.outputs_in(FOLLOWED)
            if ran:  # if this gateway runs nothing, other users of the account take its slots
                self._learned = ran
                self._learned_at = now

    def answered(self, generation_id: GenerationId, now: Steady, *, usable: bool) -> None:
        """Record the end of a submission. A usable response to the probe opens the gate, even a refusal of its input.

        SILENT_IN_A_ROW submissions without a usable response close the gate: more would only become uncertain, too.
        """
        probed = self._probe == generation_id
        if probed:
            self._probe = None
        self._silences = 0 if usable else self._silences + 1
        if probed and usable:
            self._closed_by = None
            self.limit_rate(now)
        elif not usable and (self._closed_by is not None or self._silences >= SILENT_IN_A_ROW):
            self.close(generation_id, SILENCE_DELAY, now, PROBE_PAUSE)

    def refuse(self, now: Steady) -> None:
        """Record that the account refuses its credentials, or has no credits."""
        self._refused_until = now + REFUSED_FOR

    def renew(self) -> None:
        """Let the next submission go at once, as a probe, because the account has got new credentials."""
        self._refused_until = 0.0
        if self._closed_by is not None and self._closed_by.reason is Reason.UPSTREAM_CREDENTIALS_REFUSED:
            self._opens_at = 0.0

    def is_refused(self, now: Steady) -> bool:
        """Return whether other accounts are better for new submissions, because this one refuses them."""
        return now < self._refused_until

    def wakes_at(self, now: Steady) -> float | None:
        """Return the time at which `next` may return another result without an event; None if there is none."""
        if not self._queues:
            return None
        if self._blocks(now):
            return None if self._probe is not None else self._opens_at
        pause = self._pause(now)
        if pause:
            return now + pause
        grows_at = math.inf if self._learned is None else max(self._learned_at + LIMIT_GROWTH_INTERVAL, now + 1.0)
        starts_at = math.inf
        if self._takes_turns:
            first = (
                next(iter(self._unstarted[tenant].values())) for tenant in self._queues if tenant in self._unstarted
            )
            starts_at = min((sent + UNSTARTED_COUNTS_FOR for _, sent in first), default=math.inf)
        shares_at = now + 1.0 if any(self._share(tenant) is not None for tenant in self._queues) else math.inf
        at = min(grows_at, self._running.ends_at(now), starts_at, shares_at)
        return None if at == math.inf else max(at, now)

    def position(self, generation_id: GenerationId) -> int:
        """Return the 1-based place of a generation in the order of sending; 0 if it does not wait.

        It is counted from the tenants' queues: every submission that has to wait asks for it.
        """
        if generation_id not in self._waits:
            return 0
        own, _, _ = self._waits[generation_id]
        index = bisect_left(self._queues[own], generation_id)
        first = self._next_turn(own)
        place = index + 1
        before_own = True
        for tenant, queue in self._queues.items():
            if tenant == own:
                before_own = False
                continue
            other = self._next_turn(tenant)
            # Of two tenants with the same turn, the one that was sent less recently is sent first.
            goes_first = other > first or (other == first and before_own)
            place += min(first + index - other + goes_first, len(queue))
        return place

    @property
    def wants_starts(self) -> bool:
        """Whether generations wait that might be sent if others were seen to run."""
        return bool(self._queues) and self._takes_turns

    def limit(self, now: Steady) -> int | None:
        """Return how many outputs may run at once, as configured or learned; None if no limit is known."""
        if self._fixed:
            return self._fixed
        if self._learned is None:
            return None
        quiet = int((now - self._learned_at) / LIMIT_GROWTH_INTERVAL)
        if quiet > 0:
            self._learned += quiet
            self._learned_at += quiet * LIMIT_GROWTH_INTERVAL
        return self._learned

    @property
    def waiting(self) -> int:
        """The number of waiting generations."""
        return len(self._waits)

    @property
    def running(self) -> int:
        """The number of outputs that may be running at Higgsfield; a batch counts each of its outputs."""
        return self._running.outputs

    def waiting_of(self, tenant: str) -> int:
        """Return the number of waiting generations of a tenant."""
        return len(self._queues.get(tenant, ()))

    def bytes_of(self, tenant: str) -> int:
        """Return the size of their inputs in bytes."""
        return self._bytes.get(tenant, 0)

    def _blocks(self, now: Steady) -> bool:
        """Return whether the gate lets nothing pass: it is closed, and the next probe is not due or not over."""
        return self._closed_by is not None and (self._probe is not None or now < self._opens_at)

    def _queue(self, generation: Generation) -> None:
        generation_id, tenant = generation.id, generation.tenant
        if generation_id not in self._waits:
            insort(self._queues.setdefault(tenant, []), generation_id)
            size = len(generation.spec.input)
            self._waits[generation_id] = (tenant, generation.spec.weight, size)
            self._bytes[tenant] = self._bytes.get(tenant, 0) + size

    def _leave(self, generation_id: GenerationId) -> None:
        tenant, _, size = self._waits.pop(generation_id)
        queue = self._queues[tenant]
        del queue[bisect_left(queue, generation_id)]
        self._bytes[tenant] -= size
        if not queue:
            del self._queues[tenant], self._bytes[tenant]

    def _next_tenant(self, now: Steady) -> str | None:
        """Return the tenant with the lowest turn of those that may send; None if there is none.

        Many sends in a row may ask among a thousand tenants, so few are examined: no turn is lower than the last one.
        """
        found, lowest = None, math.inf
        for tenant in self._queues:
            turn = self._next_turn(tenant)
            if turn < lowest and self._may_send(tenant, now):
                found, lowest = tenant, turn
                if turn == self._turn:
                    break
        return found

    def _may_send(self, tenant: str, now: Steady) -> bool:
        """Return whether the tenant's other generations leave room for its first waiting one."""
        weight = self._first_weight(tenant)
        return self._within_share(tenant, weight, now) and not (
            self._takes_turns and self._is_ahead(tenant, weight, now)
        )

    def _next_turn(self, tenant: str) -> int:
        return max(self._turns.get(tenant, 0), self._turn)

    def _first_weight(self, tenant: str) -> int:
        _, weight, _ = self._waits[self._queues[tenant][0]]
        return weight

    @property
    def _takes_turns(self) -> bool:
        """Whether tenants take turns although no limit is known."""
        return not self._fixed and self._learned is None and self._several_tenants()

    def _is_ahead(self, tenant: str, weight: int, now: Steady) -> bool:
        """Return whether more of the tenant's outputs have to start before one of that weight is sent."""
        self._forget_late_starts(tenant, now)
        ahead = sum(one for one, _ in self._unstarted.get(tenant, {}).values())
        most = max(OUTPUTS_AT_FIRST - self._most_started, self._most_started // 2, 1)
        # A generation that is larger is sent when no other waits for its start.
        return ahead > 0 and ahead + weight > most

    def _forget_late_starts(self, tenant: str, now: Steady) -> None:
        sent = self._unstarted.get(tenant, {})
        for generation_id in [*itertools.takewhile(lambda one: sent[one][1] + UNSTARTED_COUNTS_FOR <= now, sent)]:
            self._drop_unstarted(tenant, generation_id)

    def _drop_unstarted(self, tenant: str, generation_id: GenerationId) -> None:
        sent = self._unstarted.get(tenant, {})
        if sent.pop(generation_id, None) is not None and not sent:
            del self._unstarted[tenant]

    def _room(self, weight: int, now: Steady) -> bool:
        """Return whether one more generation of that weight may run."""
        if self._pause(now):
            return False
        limit = self.limit(now)
        if limit is None:
            return True
        taken = self._running.taken(now)
        # A generation that is larger than the limit is sent when nothing else runs.
        return taken + weight <= limit or not taken

    def _within_share(self, tenant: str, weight: int, now: Steady) -> bool:
        """Return whether one more generation of a tenant may run beside its others."""
        share, limit = self._share(tenant), self.limit(now)
        if share is None or limit is None:
            return True
        taken = self._running.taken_by(tenant, now)
        return not taken or taken + weight <= limit * share // 100

    def _pause(self, now: Steady) -> float:
        """Return the seconds until the rate limit lets one more be sent."""
        if now >= self._slowly_until:
            self._next_at = 0.0
            return 0.0
        return max(self._next_at - RECOVERY_BURST / RECOVERY_RATE - now, 0.0)


def takes_room(generation: Generation) -> bool:
    """Return whether a generation may be running at Higgsfield, or is about to be sent."""
    uncertain = generation.state is State.UNCERTAIN and not generation.held
    return generation.marker is not None or generation.state in FOLLOWED or uncertain
