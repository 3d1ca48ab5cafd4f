"""The slots of an account: which outputs may be running at Higgsfield.

Their sums are kept up to date, because the admission asks for them with every commit of a generation, and an account
may have 100,000 slots.
"""

import math
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

from gateway.generations.model import GenerationId, State, Steady


class Slot(NamedTuple):
    """The room that a generation takes: its outputs, and until when if its outcome is unknown.

    `state` is the last one that Higgsfield has reported; PENDING before that.
    """

    tenant: str
    weight: int
    state: State = State.PENDING
    until: float = math.inf


class Slots:
    """The slots by generation, and the sums of their outputs."""

    def __init__(self) -> None:
        self._slots: dict[GenerationId, Slot] = {}
        self._by_state: Counter[State] = Counter()
        self._by_tenant: Counter[str] = Counter()
        self._ending: dict[GenerationId, Slot] = {}
        """The slots that end at a time."""

    def put(self, generation_id: GenerationId, slot: Slot) -> None:
        """Set the slot of a generation."""
        if generation_id in self._slots:
            self.pop(generation_id)
        self._slots[generation_id] = slot
        self._by_state[slot.state] += slot.weight
        self._by_tenant[slot.tenant] += slot.weight
        if slot.until != math.inf:
            self._ending[generation_id] = slot

    def pop(self, generation_id: GenerationId) -> Slot | None:
        """Remove the slot of a generation, and return it if there was one."""
        slot = self._slots.pop(generation_id, None)
        if slot is None:
            return None
        self._ending.pop(generation_id, None)
        self._by_state[slot.state] -= slot.weight
        self._by_tenant[slot.tenant] -= slot.weight
        if not self._by_tenant[slot.tenant]:
            del self._by_tenant[slot.tenant]
        return slot

    @property
    def outputs(self) -> int:
        """The number of outputs, including those of slots that have ended by their time."""
        return self._by_state.total()

    def outputs_in(self, states: Collection[State]) -> int:
        """Return the number of outputs of generations in some states."""
        return sum(self._by_state[state] for state in states)

    def taken(self, now: Steady) -> int:
        """Return the number of outputs of slots that have not ended."""
        return self.outputs - sum(slot.weight for slot in self._ending.values() if slot.until <= now)

    def taken_by(self, tenant: str, now: Steady) -> int:
        """Return the same for one tenant."""
        ended = (slot.weight for slot in self._ending.values() if slot.tenant == tenant and slot.until <= now)
        return self._by_tenant[tenant] - sum(ended)

    def ends_at(self, now: Steady) -> float:
        """Return when the next slot ends by its time; infinity if none does."""
        return min((slot.until for slot in self._ending.values() if slot.until > now), default=math.inf)
