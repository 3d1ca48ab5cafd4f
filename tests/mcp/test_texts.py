"""The texts of results and of progress, which the model reads."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.mcp import render
from gateway.mcp.generations import _ended, _follow, _Progress
from gateway.mcp.port import RefusedError
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_pb2 as pb

NEW_KEY = "To try the same input again, call generate with a new idempotency_key."
LATER = Timestamp(seconds=1_800_000_000)


@pytest.mark.parametrize(
    ("state", "accepted", "advice"),
    [
        (pb.GENERATION_STATE_LOST, True, "It may have been charged. To try again, call generate with a new "
         "idempotency_key, which is charged again."),
        (pb.GENERATION_STATE_FAILED, False, "Nothing was charged, and the idempotency_key can be used again."),
        (pb.GENERATION_STATE_FAILED, True, f"It was not charged. {NEW_KEY}"),
        (pb.GENERATION_STATE_NSFW, True, f"It was not charged. {NEW_KEY}"),
        (pb.GENERATION_STATE_CANCELED, False, f"It was not charged. {NEW_KEY}"),
    ],
)  # fmt: skip
def test_an_end_without_outputs_says_whether_it_was_charged(
    state: pb.GenerationState, accepted: bool, advice: str
) -> None:
    generation = pb.Generation(id="one", state=state, done=True, accept_time=LATER if accepted else None)
    result = _ended(generation, {})
    assert result.is_error
    assert result.text.splitlines()[-1] == advice


def test_a_summary_has_the_failure_the_delay_and_the_outputs() -> None:
    reasons = error_pb2.FieldViolation(field="input", description="is odd")
    generation = pb.Generation(
        id="one",
        state=pb.GENERATION_STATE_COMPLETED,
        model_id="a/model",
        failure=error_pb2.Failure(
            reason=error_pb2.ERROR_REASON_INPUT_REFUSED, message="refused", field_violations=[reasons]
        ),
        delay=error_pb2.Failure(
            reason=error_pb2.ERROR_REASON_UPSTREAM_SATURATED,
            message="full: input: is odd",
            field_violations=[reasons],
            retry_delay=Duration(seconds=2),
        ),
        outputs=[
            pb.Output(url="https://x.test/a.png"),
            pb.Output(state=pb.GENERATION_STATE_NSFW),
            pb.Output(state=99),  # type: ignore[arg-type]  # of a newer gateway
        ],
        outputs_expire_time=LATER,
    )
    assert render.summary(generation).splitlines() == [
        "COMPLETED: generation one with a/model",
        "It failed: INPUT_REFUSED: refused (input: is odd)",
        "It waits: UPSTREAM_SATURATED: full: input: is odd Try again after 2 s.",
        "Output 1: https://x.test/a.png",
        "Output 2: NSFW",
        "Output 3: GENERATION_STATE_99",
        "The outputs are available until 2027-01-15T08:00:00Z.",
    ]


def test_progress_has_the_queue_position_and_the_time_left() -> None:
    generation = pb.Generation(state=pb.GENERATION_STATE_PENDING, delay=error_pb2.Failure(message="full"))
    assert render.progress(generation) == "PENDING, full"
    generation.forecast.SetInParent()
    assert render.progress(generation) == "PENDING, full"
    generation.forecast.MergeFrom(pb.Forecast(queue_position=3, remaining=Duration(seconds=12), overdue=True))
    text = "PENDING, full, number 3 in the gateway's queue, about 12 s left, longer than expected"
    assert render.progress(generation) == text


async def test_an_interrupted_wait_returns_the_newest_forecast() -> None:
    class Gateway:
        async def watch(self, _: pb.Generation) -> AsyncGenerator[pb.Forecast, None]:
            yield pb.Forecast(queue_position=2)
            raise RefusedError("UNAVAILABLE", error_pb2.Failure())

    async def report(_: float, __: str) -> None:
        pass

    gateway: Any = Gateway()
    queued = pb.Generation(state=pb.GENERATION_STATE_PENDING, forecast=pb.Forecast(queue_position=3))
    generation, _ = await _follow(gateway, queued, 10, report)
    assert generation.forecast.queue_position == 2


async def test_progress_grows_with_each_report_and_is_1_only_at_the_end() -> None:
    reported: list[float] = []

    async def report(progress: float, _: str) -> None:
        reported.append(progress)

    progress = _Progress(report)
    running = pb.Generation(state=pb.GENERATION_STATE_IN_PROGRESS)
    for share in (0.5, 0.25, 1.0, 1.0):
        running.forecast.progress = share
        await progress.report(running)
    running.ClearField("forecast")
    await progress.report(running)
    await progress.report(pb.Generation(done=True))
    assert reported == sorted(set(reported))
    assert reported[0] == 0.5
    assert reported[-2] < reported[-1] == 1.0
