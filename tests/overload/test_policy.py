"""What is refused at which wait: a table, and rules of time that are told by measurements and not by a clock."""

from __future__ import annotations

import itertools

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from gateway.rpc.errors import Code, RpcError
from gateway.rpc.overload import (
    BANDS,
    CALM,
    FALL,
    KINDS,
    MILD,
    MOST_FOR_QUEUES,
    MOST_LARGE,
    MOST_OPEN,
    SEVERE,
    SEVERE_FROM,
    STANDING,
    TICK,
    WEBHOOK,
    Gate,
    Kind,
    Overload,
    Waits,
)
from gateway.serving import PUBLIC_SERVICES
from tests.overload.conftest import EXTREME, MANY, press, relieve

WATCH, SUBMIT, READ, STATUS = Kind
Q = MOST_FOR_QUEUES
AT_ONCE = Waits(EXTREME, EXTREME, EXTREME, EXTREME)


@pytest.mark.parametrize(
    ("lag", "refused"),
    [
        (0.0, (0.0, 0.0, 0.0, 0.0)),
        (0.05, (0.0, 0.0, 0.0, 0.0)),
        (0.075, (0.5, 0.0, 0.0, 0.0)),
        (0.1, (1.0, 0.0, 0.0, 0.0)),
        (0.125, (1.0, 0.25, 0.0, 0.0)),
        (0.2, (1.0, 1.0, 0.0, 0.0)),
        (0.25, (1.0, 1.0, 0.5, 0.0)),
        (0.3, (1.0, 1.0, 1.0, 0.0)),
        (0.75, (1.0, 1.0, 1.0, 0.0)),
        (0.9, (1.0, 1.0, 1.0, 0.4)),
        (1.2, (1.0, 1.0, 1.0, 1.0)),
        (EXTREME, (1.0, 1.0, 1.0, 1.0)),
    ],
)
def test_watches_go_first_then_submissions_then_reads_and_status_last(lag: float, refused: tuple[float, ...]) -> None:
    overload = Overload()
    press(overload, lag=lag)
    assert tuple(overload.shares.values()) == pytest.approx(refused)


def test_nothing_is_refused_before_all_that_goes_before_it_is() -> None:
    for one, next_one in itertools.pairwise(Kind):
        assert BANDS[one][1] <= BANDS[next_one][0]


def test_every_rpc_has_a_place_in_the_order() -> None:
    methods = [method for service in PUBLIC_SERVICES for method in service.methods]
    assert set(KINDS) == {method.name for method in methods} | {WEBHOOK}
    for method in methods:
        assert (KINDS[method.name] is WATCH) == method.server_streaming


@pytest.mark.parametrize("burst", range(1, STANDING))
def test_a_burst_or_a_stall_refuses_nothing(burst: int) -> None:
    overload = Overload()
    for _ in range(100):
        for _ in range(burst):
            overload.asked += MANY
            overload.feel(AT_ONCE)
        overload.feel(Waits())
        assert not overload.active


@pytest.mark.parametrize(
    ("per_second", "wait", "refused"),
    [(40, 1.0, False), (60, 1.0, True), (10, 4.5, False), (20, 4.5, True), (1, 45.0, False), (2, 45.0, True)],
)
def test_while_few_calls_wait_nothing_is_refused_however_long_they_do(
    per_second: int, wait: float, refused: bool
) -> None:
    overload = Overload()
    for tick in range(50):
        overload.asked = round(per_second * tick * TICK)
        overload.feel(Waits(submissions=wait, others=wait))
    assert overload.active is refused


@pytest.mark.parametrize(
    ("waits", "refused"),
    [
        ({"behind": EXTREME}, (1.0, 1.0, 0.0, 0.0)),
        ({"submissions": EXTREME}, (Q, Q, 0.0, 0.0)),
        ({"others": EXTREME}, (Q, Q, Q, Q)),
        ({"others": 2.25, "submissions": EXTREME}, (Q, Q, 0.25, 0.0)),
        ({"submissions": EXTREME, "behind": 1.25}, (1.0, Q, 0.0, 0.0)),
        ({"submissions": EXTREME, "lag": 0.19}, (1.0, 0.9, 0.0, 0.0)),
        ({"submissions": 1.25}, (Q, 0.25, 0.0, 0.0)),
    ],
    ids=str,
)
def test_each_wait_refuses_what_helps_against_it(waits: dict[str, float], refused: tuple[float, ...]) -> None:
    overload = Overload()
    press(overload, **waits)
    assert tuple(overload.shares.values()) == pytest.approx(refused)


def test_a_share_rises_at_once_and_falls_slowly() -> None:
    overload = Overload()
    press(overload, lag=EXTREME)
    fallen = []
    while overload.active:
        overload.feel(Waits())
        fallen.append(overload.shares[STATUS])
    assert fallen[0] == pytest.approx(1.0 - FALL)
    assert len(fallen) * TICK == pytest.approx(1.0, abs=2 * TICK)
    press(overload, lag=EXTREME)
    assert overload.shares[STATUS] == 1.0


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_calls_are_refused_evenly_and_as_many_as_the_share_says(share: float) -> None:
    overload = Overload()
    press(overload, behind=1.0 + share)
    refused = [overload.refusal(SUBMIT) is not None for _ in range(1000)]
    for first in range(900):
        assert refused[first : first + 100].count(True) == pytest.approx(100 * share, abs=1)


def gate_of(overload: Overload, method: str) -> tuple[Gate, list[int]]:
    """A gate, and a list that grows by one for each call that it refuses."""
    counted: list[int] = []
    return overload.gate(f"/hfgateway.v1.SomeService/{method}", lambda: counted.append(1)), counted


def test_a_gate_is_shut_while_enough_calls_are_under_way_whatever_the_pressure() -> None:
    gate, counted = gate_of(Overload(), "GetGeneration")
    gate.open = MOST_OPEN[STATUS] - 1
    assert gate.refusal() is None
    gate.open = MOST_OPEN[STATUS]
    for number in range(1, 100):
        assert gate.refusal() is not None
        assert len(counted) == number
    gate.open -= 1
    assert gate.refusal() is None


def test_there_is_room_for_ten_thousand_watches_and_every_gate_is_bounded() -> None:
    assert MOST_OPEN[WATCH] > 10_000
    for method, kind in {**KINDS, "SomethingNew": READ}.items():
        gate, _ = gate_of(Overload(), method)
        most = MOST_LARGE.get(method, MOST_OPEN[kind])
        gate.open = most - 1
        assert gate.refusal() is None, method
        gate.open = most
        assert gate.refusal() is not None, method


def delay_of(refusal: RpcError) -> float:
    (retry,) = (detail for detail in refusal.details if isinstance(detail, RetryInfo))
    return float(retry.retry_delay.ToMilliseconds()) / 1000


@pytest.mark.parametrize(("wait", "between"), [(2.0, MILD), (SEVERE_FROM, SEVERE)])
def test_the_refused_are_asked_to_come_back_spread_over_time_and_later_the_worse_it_is(
    wait: float, between: tuple[float, float]
) -> None:
    overload = Overload()
    press(overload, behind=wait)
    gate, counted = gate_of(overload, "SubmitGeneration")
    delays = []
    for _ in range(320):
        refusal = gate.refusal()
        assert refusal is not None
        assert refusal.code is Code.RESOURCE_EXHAUSTED
        (info,) = (detail for detail in refusal.details if isinstance(detail, ErrorInfo))
        assert info.reason == "GATEWAY_OVERLOADED"
        delays.append(delay_of(refusal))
    assert len(counted) == 320
    soonest, latest = between
    fifth = (latest - soonest) / 5
    in_each = [sum(soonest + n * fifth <= delay < soonest + (n + 1) * fifth for delay in delays) for n in range(5)]
    assert sum(in_each) == 320
    assert min(in_each) > 50, in_each
    assert delays[:32] != sorted(delays[:32])


def test_it_is_told_once_when_it_begins_and_once_when_it_has_long_been_over(caplog: pytest.LogCaptureFixture) -> None:
    overload = Overload()
    with caplog.at_level("INFO", logger="gateway.rpc.overload"):
        for _ in range(2):
            for _ in range(3):
                press(overload, lag=EXTREME)
                relieve(overload)
            for _ in range(round(CALM / TICK)):
                overload.feel(Waits())
    begin, end = "overloaded: calls are refused", "no longer overloaded"
    assert [record.getMessage() for record in caplog.records] == [begin, end] * 2
