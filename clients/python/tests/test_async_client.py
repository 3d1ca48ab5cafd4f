"""The asynchronous client against a real server: broken connections, lost responses and timeouts."""

import asyncio
import math
import time as real_time
from collections.abc import AsyncGenerator, Sequence

import grpc
import pytest

from clients.python.tests.conftest import FakeTime
from clients.python.tests.scripted_gateway import Refusal, ScriptedGateway, change, generation, refusal
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.character_service_pb2 import (
    CharacterState,
    CreateCharacterResponse,
    SoulCharacter,
    WatchCharacterResponse,
)
from hfgateway.v1.error_pb2 import Failure, FieldViolation
from hfgateway.v1.generation_pb2 import Forecast, Generation
from hfgateway_client import AsyncClient, CaughtUp, Client, GenerationChanged, RetryPolicy, errors, soul, state_name
from hfgateway_client._async.timers import Timers

INPUT = soul("a lighthouse")
WARNINGS = [FieldViolation(field="input.model.parameters.seed", description="is not known")]
NEVER_STARTED = Refusal(grpc.StatusCode.CANCELLED, Failure())
DRAINING = refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", "draining", retry_delay=0.05)


def submitted(
    state: str = "PENDING", revision: int = 1, warnings: Sequence[FieldViolation] = (), **fields: object
) -> pb.SubmitGenerationResponse:
    return pb.SubmitGenerationResponse(generation=generation(state, revision, **fields), warnings=warnings)


async def test_a_submission_is_retried_with_the_same_key_after_a_lost_response(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", gateway.cut, submitted())

    submission = await client.submit(INPUT)

    first, second = gateway.requests["SubmitGeneration"]
    assert first == second
    assert first.idempotency_key == submission.idempotency_key != ""


async def test_a_submission_has_the_warnings_of_the_gateway(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("SubmitGeneration", submitted(warnings=WARNINGS), submitted())

    assert (await client.submit(INPUT)).warnings == WARNINGS
    assert (await client.submit(INPUT)).warnings == []


async def test_generate_calls_on_warning_with_each_warning(gateway: ScriptedGateway, client: AsyncClient) -> None:
    seen: list[FieldViolation] = []
    gateway.on("SubmitGeneration", *[submitted("COMPLETED", warnings=WARNINGS)] * 2)

    await client.generate(INPUT, on_warning=seen.append)

    assert seen == WARNINGS
    assert (await client.generate(INPUT)).done, "the callback is optional"


async def test_an_unresolved_submission_is_retried(gateway: ScriptedGateway, client: AsyncClient) -> None:
    unresolved = refusal("ABORTED", "SUBMISSION_UNRESOLVED", retry_delay=0.01)
    gateway.on("SubmitGeneration", unresolved, submitted())

    submission = await client.submit(INPUT, idempotency_key="order-7")

    assert submission.id == "g1"
    assert [request.idempotency_key for request in gateway.requests["SubmitGeneration"]] == ["order-7", "order-7"]


async def test_a_refused_submission_is_not_retried_and_the_error_has_the_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", refusal("FAILED_PRECONDITION", "IDEMPOTENCY_KEY_REUSED"))

    with pytest.raises(errors.KeyReused) as caught:
        await client.submit(INPUT, idempotency_key="order-7")

    assert caught.value.idempotency_key == "order-7"


async def test_a_submission_without_response_times_out_and_the_error_has_the_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", gateway.hang)

    with pytest.raises(errors.DeadlineExceeded) as caught:
        await client.submit(INPUT, timeout=2.0)

    assert caught.value.idempotency_key == gateway.requests["SubmitGeneration"][0].idempotency_key


async def test_the_wait_timeout_is_added_to_the_timeout(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("SubmitGeneration", submitted())

    await client.submit(INPUT, wait_for="done", wait_timeout=600.0)

    assert gateway.time_remaining is not None
    assert 600 < gateway.time_remaining < 665


async def test_an_unreachable_gateway_fails_the_call_at_its_timeout() -> None:
    async with AsyncClient("127.0.0.1:1", timeout=0.5) as client:
        with pytest.raises(errors.Unavailable):
            await client.get("g1")


async def test_a_watch_resumes_after_a_reset_connection_and_repeats_nothing(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on(
        "WatchGeneration",
        [change("PENDING", 1), pb.WatchGenerationResponse(), change("QUEUED", 2), gateway.cut],
        [change("QUEUED", 2), change("IN_PROGRESS", 3), change("COMPLETED", 4)],
    )

    seen = [(state_name(changed), changed.revision) async for changed in client.watch("g1")]

    assert seen == [("PENDING", 1), ("QUEUED", 2), ("IN_PROGRESS", 3), ("COMPLETED", 4)]
    assert [request.after_revision for request in gateway.requests["WatchGeneration"]] == [0, 2]


async def test_a_watch_resumes_after_a_shutdown_and_honors_the_retry_delay(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("WatchGeneration", [change("QUEUED", 1), DRAINING], [DRAINING], [change("COMPLETED", 2)])

    started = real_time.monotonic()
    revisions = [changed.revision async for changed in client.watch("g1")]

    assert revisions == [1, 2]
    assert real_time.monotonic() - started >= 0.1


async def test_a_call_that_the_gateway_never_started_is_retried(gateway: ScriptedGateway, client: AsyncClient) -> None:
    """A stopping server returns CANCELLED for calls that it has received and not started."""
    gateway.on("SubmitGeneration", NEVER_STARTED, submitted())
    gateway.on("WatchGeneration", [change("QUEUED", 1), NEVER_STARTED], [NEVER_STARTED], [change("COMPLETED", 2)])

    assert (await client.submit(INPUT)).id == "g1"
    assert [changed.revision async for changed in client.watch("g1")] == [1, 2]
    first, second = gateway.requests["SubmitGeneration"]
    assert first == second


async def test_a_call_that_ends_because_the_client_is_closed_is_not_retried(gateway: ScriptedGateway) -> None:
    arrived = asyncio.Event()

    async def hang(_request: object) -> None:
        arrived.set()
        await asyncio.Event().wait()

    gateway.on("GetGeneration", hang)
    client = Client(gateway.address)
    call = asyncio.create_task(asyncio.to_thread(client.get, "g1"))
    await arrived.wait()
    client.close()

    with pytest.raises(errors.GatewayError):
        await call
    assert len(gateway.requests["GetGeneration"]) == 1


async def test_a_watch_raises_an_error_that_is_not_retryable(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("WatchGeneration", [refusal("NOT_FOUND", "NOT_FOUND", "no such generation")])

    with pytest.raises(errors.NotFound, match="no such generation"):
        await anext(client.watch("unknown"))


async def test_a_watch_fails_if_the_gateway_stays_unavailable() -> None:
    async with AsyncClient("127.0.0.1:1", retry=RetryPolicy(resume_watches_for=0.3)) as client:
        with pytest.raises(errors.Unavailable):
            await anext(client.watch("g1"))


async def test_a_watch_ends_at_its_timeout(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("WatchGeneration", [change("QUEUED", 1), gateway.hang])

    watch = client.watch("g1", timeout=2.0)
    assert (await anext(watch)).revision == 1
    with pytest.raises(errors.DeadlineExceeded):
        await anext(watch)


async def test_a_timeout_names_the_failure_before_it_unless_the_call_has_recovered(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", gateway.cut, gateway.hang)
    with pytest.raises(errors.DeadlineExceeded, match="Before: the connection to"):
        await client.submit(INPUT, timeout=5.0)
    gateway.on("WatchGeneration", [gateway.cut], [change("QUEUED", 1), gateway.hang])
    watch = client.watch("g1", timeout=5.0)
    assert (await anext(watch)).revision == 1
    with pytest.raises(errors.DeadlineExceeded) as ended:
        await anext(watch)
    assert "Before" not in ended.value.message
    gateway.on("GetGeneration", gateway.cut, refusal("NOT_FOUND", "NOT_FOUND", "no such generation"))
    with pytest.raises(errors.NotFound) as other:
        await client.get("g1")
    assert other.value.message == "no such generation"


async def test_closing_a_watch_cancels_its_call(gateway: ScriptedGateway, client: AsyncClient) -> None:
    reached, left = asyncio.Event(), asyncio.Event()

    async def wait_for_cancellation(_request: object) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    gateway.on("WatchGeneration", [change("QUEUED", 1), wait_for_cancellation])
    watch = client.watch("g1")
    await anext(watch)
    await reached.wait()
    await watch.aclose()

    assert await asyncio.wait_for(left.wait(), 5)


async def test_a_watch_of_many_resumes_with_its_token(gateway: ScriptedGateway, client: AsyncClient) -> None:
    def message(token: str, **fields: object) -> pb.WatchGenerationsResponse:
        return pb.WatchGenerationsResponse(resume_token=token, **fields)

    gateway.on(
        "WatchGenerations",
        [message("a", generation=generation("QUEUED", 1)), message("b", caught_up=True), gateway.cut],
        [message("c", generation=generation("COMPLETED", 2)), message("d", caught_up=True)],
    )

    seen = [event async for event in client.watch_many(ids=["g1"])]

    assert [request.resume_token for request in gateway.requests["WatchGenerations"]] == ["", "b"]
    assert [type(event) for event in seen] == [GenerationChanged, CaughtUp, GenerationChanged]


async def test_only_a_watch_of_given_ids_ends_with_its_stream(gateway: ScriptedGateway, client: AsyncClient) -> None:
    first = pb.WatchGenerationsResponse(resume_token="a", caught_up=True)
    second = pb.WatchGenerationsResponse(resume_token="b", generation=generation("QUEUED", 1))
    gateway.on("WatchGenerations", [first], [first], [second, gateway.hang])

    assert [type(event) async for event in client.watch_many(ids=["g1"])] == [CaughtUp]
    events = client.watch_many()
    assert [type(await anext(events)), type(await anext(events))] == [CaughtUp, GenerationChanged]
    await events.aclose()


async def test_a_watch_holds_no_call_when_it_is_closed(gateway: ScriptedGateway, client: AsyncClient) -> None:
    """The loop may not run again after that, so it cannot be left to the garbage collector."""
    gateway.on("WatchGeneration", [change("QUEUED", 1), gateway.hang])
    gateway.on("WatchGenerations", [pb.WatchGenerationsResponse(caught_up=True), gateway.hang])
    gateway.on("WatchCharacter", [WatchCharacterResponse(character=SoulCharacter(id="c1")), gateway.hang])
    watches: list[AsyncGenerator[object, None]]
    watches = [client.watch("g1"), client.watch_many(), client.watch_character("c1")]
    for watch in watches:
        await anext(watch)
        await watch.aclose()
        assert client._calls._streams == set()


async def test_a_callback_that_raises_ends_the_watch_and_its_error_has_the_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    """What it was called for was charged. The traceback keeps the frames of the client alive: they must be closed."""

    def out_of_paper(changed: object) -> None:
        if getattr(changed, "state", 2) == 2:
            raise LookupError("paper")

    gateway.on("SubmitGeneration", submitted(), submitted(warnings=WARNINGS), submitted("UNCERTAIN"))
    gateway.on("WatchGeneration", [change("UNCERTAIN", 2), gateway.hang])
    gateway.on("CreateCharacter", CreateCharacterResponse(character=SoulCharacter(id="c1")))
    gateway.on("WatchCharacter", [WatchCharacterResponse(character=SoulCharacter(id="c1", state=2)), gateway.hang])
    images = ["https://images.example/1"]
    calls = [
        client.generate(INPUT, on_progress=out_of_paper, idempotency_key="order-7"),
        client.generate(INPUT, on_warning=out_of_paper, idempotency_key="order-7"),
        client.generate(INPUT, on_progress=out_of_paper, idempotency_key="order-7"),
        client.train_character("Anna", images, on_progress=out_of_paper, idempotency_key="order-7"),
    ]
    for call in calls:
        with pytest.raises(errors.GatewayError, match=r"LookupError\('paper'\)") as failed:
            await call
        assert isinstance(failed.value.__cause__, LookupError)
        assert (failed.value.idempotency_key, failed.value.retryable) == ("order-7", False)
    assert client._calls._streams == set(), failed


async def test_a_change_that_comes_with_a_forecast_is_reported(client: AsyncClient, gateway: ScriptedGateway) -> None:
    both = pb.WatchGenerationResponse(generation=generation("COMPLETED", 2), forecast=Forecast(progress=0.5))
    gateway.on("WatchGeneration", [change("QUEUED", 1), both, refusal("NOT_FOUND", "NOT_FOUND")])
    assert [changed.revision async for changed in client.watch("g1", forecast_interval=1.0)] == [1, 2]


async def test_a_forecast_before_the_first_change_belongs_to_nothing(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("WatchGeneration", [pb.WatchGenerationResponse(forecast=Forecast()), change("COMPLETED", 1)])
    assert [changed.revision async for changed in client.watch("g1", forecast_interval=1.0)] == [1]


async def test_generate_and_train_submit_within_the_timeout_of_the_client(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", submitted("COMPLETED"))
    completed = SoulCharacter(id="c1", state=CharacterState.CHARACTER_STATE_COMPLETED, done=True)
    gateway.on("CreateCharacter", CreateCharacterResponse(character=completed))
    await client.generate(INPUT, timeout=3600.0)
    assert gateway.time_remaining is not None
    assert gateway.time_remaining < 120.0
    await client.train_character("Anna", ["https://images.example/1"], timeout=3600.0)
    assert gateway.time_remaining < 120.0


async def test_generate_submits_watches_and_returns_the_completed_generation(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [change("QUEUED", 2), gateway.cut], [change("COMPLETED", 3)])
    progress: list[Generation] = []

    result = await client.generate(INPUT, on_progress=progress.append, labels={"order": "7"})

    assert state_name(result) == "COMPLETED"
    assert [changed.revision for changed in progress] == [1, 2, 3]
    assert len(gateway.requests["SubmitGeneration"]) == 1
    assert gateway.requests["SubmitGeneration"][0].labels == {"order": "7"}
    assert [request.after_revision for request in gateway.requests["WatchGeneration"]] == [1, 2]


async def test_generate_reports_forecasts_from_the_stored_generation_on(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    forecasts = [pb.WatchGenerationResponse(forecast=Forecast(progress=progress)) for progress in (0.25, 0.5)]
    gateway.on("SubmitGeneration", *[submitted()] * 2)
    gateway.on("WatchGeneration", [forecasts[0], change("QUEUED", 2), forecasts[1], change("COMPLETED", 3)])
    gateway.on("WatchGeneration", [change("COMPLETED", 2)])
    seen: list[Generation] = []

    await client.generate(INPUT, on_progress=seen.append)
    await client.generate(INPUT)

    # Only now: a forecast must not change the generation that was reported before it.
    progress = [(changed.revision, changed.forecast.progress) for changed in seen]
    assert progress == [(1, 0.0), (1, 0.25), (2, 0.0), (2, 0.5), (3, 0.0)]
    asked = [request.forecast_interval.seconds for request in gateway.requests["WatchGeneration"]]
    assert asked == [2, 0], "without a callback nothing would be done with forecasts"
    with pytest.raises(OverflowError):
        await client.generate(INPUT, on_progress=print, forecast_interval=math.inf)
    assert len(gateway.requests["SubmitGeneration"]) == 2


async def test_generate_raises_an_error_for_a_generation_without_output(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [change("NSFW", 2)])

    with pytest.raises(errors.GenerationModerated) as caught:
        await client.generate(INPUT)

    assert caught.value.generation.id == "g1"


async def test_a_watch_that_ends_too_early_is_resumed(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [], [change("QUEUED", 2)], [change("COMPLETED", 3)])

    assert (await client.generate(INPUT)).revision == 3
    assert [request.after_revision for request in gateway.requests["WatchGeneration"]] == [1, 1, 2]


async def test_generate_does_not_watch_if_the_key_belongs_to_an_ended_generation(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", submitted("COMPLETED", 5))

    assert (await client.generate(INPUT, idempotency_key="order-7")).revision == 5
    assert "WatchGeneration" not in gateway.requests


async def test_generate_ends_at_its_timeout_and_the_error_has_the_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [change("QUEUED", 2), gateway.hang])

    with pytest.raises(errors.DeadlineExceeded, match=f"the call to {gateway.address} timed out") as caught:
        await client.generate(INPUT, idempotency_key="order-7", timeout=0.3)

    assert caught.value.idempotency_key == "order-7"


async def test_wait_repeats_its_call_until_the_generation_has_ended(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    def response(state: str, revision: int) -> pb.WaitGenerationResponse:
        return pb.WaitGenerationResponse(generation=generation(state, revision))

    gateway.on("WaitGeneration", response("QUEUED", 1), gateway.cut, response("COMPLETED", 2))

    assert (await client.wait("g1")).done
    assert gateway.time_remaining is not None
    assert gateway.time_remaining > 60.0, "the wait is added to the timeout"


async def test_wait_returns_the_generation_as_it_is_at_the_timeout(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    async def wait_for_timeout(request: pb.WaitGenerationRequest) -> pb.WaitGenerationResponse:
        await asyncio.sleep(request.timeout.ToMilliseconds() / 1000)
        return pb.WaitGenerationResponse(generation=generation("QUEUED", 1))

    gateway.unscripted["WaitGeneration"] = wait_for_timeout

    assert not (await client.wait("g1", timeout=0.1)).done
    assert not (await client.wait("g1", timeout=0.0)).done
    assert gateway.requests["WaitGeneration"][-1].timeout.ToNanoseconds() == 0


async def test_every_call_sends_the_api_key(gateway: ScriptedGateway) -> None:
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=generation("QUEUED", 1)))
    gateway.on("WatchGeneration", [change("COMPLETED", 1)])

    async with AsyncClient(gateway.address, api_key="hfg_test") as client:
        await client.get("g1")
        assert gateway.metadata["authorization"] == "Bearer hfg_test"
        assert [changed.done async for changed in client.watch("g1")] == [True]
        assert gateway.metadata["authorization"] == "Bearer hfg_test"
        assert gateway.metadata["user-agent"].startswith("hfgateway-client-python/")


async def test_a_function_of_the_caller_that_fails_before_a_retry_leaves_the_error_with_the_key(
    gateway: ScriptedGateway,
) -> None:
    """The failed attempt may have submitted the generation."""
    gateway.on("SubmitGeneration", gateway.cut)
    keys = iter(["hfg_first"])
    async with AsyncClient(gateway.address, api_key=lambda: next(keys)) as client:
        with pytest.raises(errors.Unavailable) as raised:
            await client.submit(INPUT)
    assert raised.value.idempotency_key == gateway.requests["SubmitGeneration"][0].idempotency_key
    assert isinstance(raised.value.__cause__, StopIteration)


async def test_a_function_for_retries_that_raises_its_error_does_not_make_it_its_own_cause(
    gateway: ScriptedGateway,
) -> None:
    def on_retry(error: errors.GatewayError, _delay: float) -> None:
        raise error

    gateway.on("SubmitGeneration", gateway.cut)
    async with AsyncClient(gateway.address, on_retry=on_retry) as client:
        with pytest.raises(errors.Unavailable) as raised:
            await client.submit(INPUT)
    assert raised.value.__cause__ is not raised.value


async def test_a_wait_backs_off_if_the_gateway_responds_early(gateway: ScriptedGateway, time: FakeTime) -> None:
    """A gateway that is shutting down does."""
    queued = pb.WaitGenerationResponse(generation=generation("QUEUED", 1))

    async def in_time(_request: object) -> pb.WaitGenerationResponse:
        time.now += 50.0
        return queued

    completed = pb.WaitGenerationResponse(generation=generation("COMPLETED", 2))
    gateway.on("WaitGeneration", in_time, queued, in_time, completed)
    async with AsyncClient(gateway.address, timers=Timers(clock=time.clock, sleep=time.async_sleep)) as client:
        assert (await client.wait("g1")).done
    assert time.slept == [RetryPolicy().first_delay]


async def test_a_channel_of_the_caller_stays_open(gateway: ScriptedGateway) -> None:
    gateway.unscripted["ListGenerations"] = pb.ListGenerationsResponse()
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        for _ in range(2):
            async with AsyncClient(channel=channel) as client:
                await client.check()
