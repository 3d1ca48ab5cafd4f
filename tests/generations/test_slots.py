"""The sums of an account's slots agree with the slots, whatever is put, replaced and removed."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.generations.admission.slots import Slot, Slots
from gateway.generations.model import FOLLOWED, GenerationId, State, Steady

SLOTS = st.builds(
    Slot,
    tenant=st.sampled_from(["one", "two"]),
    weight=st.integers(1, 4),
    state=st.sampled_from(State),
    until=st.sampled_from([math.inf, 1.0, 2.0, 3.0]),
)
CHANGES = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d"]).map(GenerationId), st.none() | SLOTS), max_size=20)


@given(changes=CHANGES, now=st.sampled_from([0.0, 1.0, 2.5, 3.0]).map(Steady))
def test_the_sums_are_those_of_the_slots(changes: list[tuple[GenerationId, Slot | None]], now: Steady) -> None:
    slots = Slots()
    wanted: dict[GenerationId, Slot] = {}
    for name, slot in changes:
        if slot is None:
            assert slots.pop(name) == wanted.pop(name, None)
        else:
            slots.put(name, slot)
            wanted[name] = slot
    open_ones = [one for one in wanted.values() if one.until > now]
    assert slots.outputs == sum(one.weight for one in wanted.values())
    assert slots.outputs_in(FOLLOWED) == sum(one.weight for one in wanted.values() if one.state in FOLLOWED)
    assert slots.taken(now) == sum(one.weight for one in open_ones)
    for tenant in ("one", "two"):
        assert slots.taken_by(tenant, now) == sum(one.weight for one in open_ones if one.tenant == tenant)
    assert slots.ends_at(now) == min((one.until for one in open_ones), default=math.inf)
