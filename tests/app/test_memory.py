"""Memory that a burst has left is given back once, when the burst is over."""

from __future__ import annotations

from gateway.memory import Memory


def test_what_is_free_is_given_back_when_memory_no_longer_grows() -> None:
    held, free, trims = [100], [0], []

    def trim() -> None:
        trims.append(held[0])
        held[0] -= free[0]

    memory = Memory(lambda: held[0], trim)
    for now in (104, 150, 200):
        held[0] = now
        memory.check()
    assert trims == [], "nothing worthwhile, then a burst that goes on"
    free[0] = 90
    memory.check()
    assert (trims, held) == ([200], [110])
    memory.check()
    assert trims == [200], "what is left is in use"


def test_memory_in_use_is_not_trimmed_again_and_again() -> None:
    held, trims = [100], []
    memory = Memory(lambda: held[0], lambda: trims.append(held[0]))
    held[0] = 1000
    for _ in range(10):
        memory.check()
    assert trims == [1000]
