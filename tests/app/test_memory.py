"""Free memory is returned to the system once, after a burst."""

from __future__ import annotations

from gateway.memory import Memory


def test_free_memory_is_trimmed_when_memory_stops_growing() -> None:
    held, free, trims = [100], [0], []

    def trim() -> None:
        trims.append(held[0])
        held[0] -= free[0]

    memory = Memory(lambda: held[0], trim)
    for now in (104, 150, 200):
        held[0] = now
        memory.check()
    assert trims == [], "growth too small to matter, then a burst in progress"
    free[0] = 90
    memory.check()
    assert (trims, held) == ([200], [110])
    memory.check()
    assert trims == [200], "the rest is in use"


def test_memory_in_use_is_trimmed_only_once() -> None:
    held, trims = [100], []
    memory = Memory(lambda: held[0], lambda: trims.append(held[0]))
    held[0] = 1000
    for _ in range(10):
        memory.check()
    assert trims == [1000]


def test_memory_is_trimmed_again_when_a_burst_has_ended() -> None:
    held, free, trims = [100], [0], []

    def trim() -> None:
        trims.append(held[0])
        held[0] -= free[0]

    memory = Memory(lambda: held[0], trim)
    for now in (300, 300, 290, 200):  # the connections of a burst stay open, then close one after the other
        held[0] = now
        memory.check()
    assert trims == [300], "the burst is in use, then memory falls"
    free[0] = 80
    memory.check()
    assert (trims, held) == ([300, 200], [120])
