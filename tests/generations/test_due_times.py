"""Due times come in their order, each name has one, and replaced ones take no memory."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.due_times import MAX_OUTDATED, DueTimes

names, times = st.sampled_from("abcd"), st.integers(0, 9).map(float)
changes = st.one_of(
    st.tuples(st.just("put"), names, times),
    st.tuples(st.just("put earlier"), names, times),
    st.tuples(st.just("drop"), names, times),
    st.tuples(st.just("take"), st.just(""), times),
)


@given(st.lists(changes, max_size=40))
def test_they_behave_like_a_dict_of_times(made: list[tuple[str, str, float]]) -> None:
    due: DueTimes[str] = DueTimes()
    expected: dict[str, float] = {}
    for change, name, at in made:
        if change == "put":
            assert due.put(name, at) == (expected.get(name) != at)
            expected[name] = at
        elif change == "put earlier":
            due.put_earlier(name, at)
            expected[name] = min(at, expected.get(name, at))
        elif change == "drop":
            due.drop(name)
            expected.pop(name, None)
        else:
            first = min(((when, one) for one, when in expected.items() if when <= at), default=None)
            assert due.take(at) == first
            if first is not None:
                del expected[first[1]]
        assert due.first() == min(expected.values(), default=None)
        assert len(due) == len(expected)
    assert [due.take(math.inf) for _ in expected] == sorted((at, name) for name, at in expected.items())


def test_replaced_times_take_no_memory() -> None:
    due: DueTimes[str] = DueTimes()
    for number in range(10 * MAX_OUTDATED):
        due.put("a", float(number))
    assert len(due._heap) <= MAX_OUTDATED + 2
    assert due.take(10.0 * MAX_OUTDATED) == (10.0 * MAX_OUTDATED - 1, "a")
    assert due.take(10.0 * MAX_OUTDATED) is None
