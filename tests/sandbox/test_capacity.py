"""The concurrency limit in legacy mode and in queue mode."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.catalog.models import MODELS
from gateway.sandbox.generations.generation import Generation
from gateway.sandbox.generations.run_queue import RunQueue


async def test_legacy_mode_refuses_requests_above_the_limit(start: Any) -> None:
    api = await start(concurrency_mode="legacy", concurrency_limit=2)
    first = await api.submitted("1")
    await api.submitted("2")

    refused = await api.submit("3")
    assert refused.status == 400
    assert refused.json == {"detail": "Maximum number of concurrent requests (2) has been reached"}

    await api.cancel(first)
    assert (await api.submit("3")).status == 200
    api.clock.advance(5)
    assert (await api.submit("4")).status == 200


async def test_queue_mode_queues_requests_until_the_queue_is_full(start: Any) -> None:
    api = await start(concurrency_mode="queue", concurrency_limit=1, queue_factor=2)
    first, second, third = [await api.submitted(str(number)) for number in range(3)]

    refused = await api.submit("one too many", key="k")
    assert refused.status == 429
    assert (refused.json["code"], refused.json["limit"]) == ("account_queue_full", 2)
    assert int(refused.headers["Retry-After"]) >= 1

    api.clock.advance(1)
    assert [(await api.status(one)).json["status"] for one in (first, second, third)] == [
        "in_progress",
        "queued",
        "queued",
    ]
    refused = await api.submit("one too many", key="k")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "4")
    api.clock.scale = 2.0  # the caller waits in its own time
    assert (await api.submit("one too many", key="k")).headers["Retry-After"] == "2"
    api.clock.scale = 1.0
    api.clock.advance(4)
    assert (await api.submit("one too many", key="k")).status == 200
    assert [(await api.status(one)).json["status"] for one in (first, second, third)] == [
        "completed",
        "in_progress",
        "queued",
    ]
    assert (await api.ledger())["peak_running"] == 1


async def test_the_peak_is_that_of_the_busiest_account(start: Any) -> None:
    api = await start(credentials="busy:1 quiet:2")
    for pair, count in (("busy:1", 2), ("quiet:2", 1)):
        api.auth = {"Authorization": f"Key {pair}"}
        for number in range(count):
            await api.submitted(f"{pair} {number}")
    api.clock.advance(1)
    assert (await api.ledger())["peak_running"] == 2


async def test_each_output_of_a_batch_takes_a_place_in_the_queue(start: Any) -> None:
    api = await start(concurrency_limit=2, queue_factor=1)
    assert (await api.submit("four", batch_size=4)).status == 200
    assert (await api.submit("one")).status == 429


async def test_an_empty_queue_accepts_a_batch_larger_than_itself(start: Any) -> None:
    api = await start(concurrency_limit=1, queue_factor=1)
    assert (await api.submit("four", batch_size=4)).status == 200


async def test_queued_requests_start_in_order_of_arrival(start: Any) -> None:
    api = await start(concurrency_limit=2, queue_factor=5)
    ids = [await api.submitted(str(number)) for number in range(5)]
    api.clock.advance(1000)
    started = {row["request_id"]: row["started_at"] for row in (await api.ledger())["requests"]}
    assert [started[one] for one in ids] == [1, 1, 5, 5, 9]


async def test_a_canceled_request_releases_its_place_in_the_queue(start: Any) -> None:
    api = await start(concurrency_limit=1, queue_factor=5)
    first = await api.submitted("[slow=3] first")
    waiting = await api.submitted("waiting")
    last = await api.submitted("last")
    api.clock.advance(2)
    await api.cancel(waiting)
    api.clock.advance(100)
    rows = {row["request_id"]: row for row in (await api.ledger())["requests"]}
    assert (rows[first]["started_at"], rows[last]["started_at"]) == (1, 4)


async def test_requests_stay_queued_while_there_are_no_slots(start: Any) -> None:
    api = await start(concurrency_limit=0, queue_factor=1)
    request_id = await api.submitted()
    api.clock.advance(1000)
    assert (await api.status(request_id)).json["status"] == "queued"
    await api.account(concurrency_limit=1)
    assert (await api.status(request_id)).json["status"] == "in_progress"
    api.clock.advance(4)
    assert (await api.status(request_id)).json["status"] == "completed"


Arrival = tuple[int, int]


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20)), max_size=12).map(sorted),
    limit=st.integers(1, 4),
    glances=st.lists(st.integers(0, 60)),
)
def test_reading_the_state_does_not_change_when_requests_start(
    arrivals: list[Arrival], limit: int, glances: list[int]
) -> None:
    assert _starts(arrivals, limit, glances) == _starts(arrivals, limit, [])


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20)), max_size=12).map(sorted),
    limit=st.integers(1, 4),
)
def test_requests_start_in_order_and_within_the_limit(arrivals: list[Arrival], limit: int) -> None:
    starts = _starts(arrivals, limit, [])
    spans = [(start, start + length) for start, (_, length) in zip(starts, arrivals, strict=True)]
    assert starts == sorted(starts)
    for moment in starts:
        assert sum(begin <= moment < end for begin, end in spans) <= limit


def _starts(arrivals: list[Arrival], limit: int, glances: list[int]) -> list[float]:
    """Add each generation when it arrives, read the queue in between, and return the start times."""
    queue, generations = RunQueue(limit), []
    events = sorted([(at, 1, length) for at, length in arrivals] + [(at, 0, 0) for at in glances])
    for at, arrives, length in events:
        queue.settle(at)
        if arrives:
            generations.append(_generation(at, length))
            queue.add(generations[-1])
    queue.settle(1000)
    return [one.started_at for one in generations if one.started_at is not None]


def _generation(at: float, length: float) -> Generation:
    return Generation(
        model=MODELS["z-image/turbo"],
        parameters={},
        price=Decimal(1),
        outcome="completed",
        created_at=at,
        ready_at=at + 1,
        running_seconds=length,
        retention=3600,
    )
