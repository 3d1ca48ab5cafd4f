"""Status calls become fewer while the processor has no time left, and come back when it has."""

from __future__ import annotations

from gateway.generations.thrift import BUSY, FREE, MOST, Thrift

LONG = 200
"""Measurements after which whatever is going to happen has happened."""


def felt(thrift: Thrift, share: float, times: int) -> Thrift:
    for _ in range(times):
        thrift.feel(share)
    return thrift


def test_a_burst_changes_nothing() -> None:
    assert felt(felt(Thrift(), 0.1, LONG), 1.0, 10).stretch == 1.0


def test_who_is_busy_for_long_asks_less_and_less_but_only_so_much() -> None:
    thrift = felt(Thrift(), 1.0, 30)
    assert 1.0 < thrift.stretch < MOST
    assert felt(thrift, 1.0, LONG).stretch == MOST


def test_between_the_two_limits_it_stays_as_it_is() -> None:
    thrift = felt(Thrift(), 1.0, 30)
    between = (BUSY + FREE) / 2
    felt(thrift, between, 20)  # until what it feels is between them too
    before = thrift.stretch
    assert felt(thrift, between, LONG).stretch == before > 1.0


def test_who_has_time_again_asks_as_ever() -> None:
    thrift = felt(Thrift(), 1.0, LONG)
    assert felt(thrift, 0.2, 20).stretch < MOST
    assert felt(thrift, 0.2, LONG).stretch == 1.0


def test_a_clock_that_tells_more_work_than_time_does_no_harm() -> None:
    thrift = felt(Thrift(), 50.0, LONG)
    assert thrift.stretch == MOST
    assert felt(thrift, 0.0, LONG).stretch == 1.0
