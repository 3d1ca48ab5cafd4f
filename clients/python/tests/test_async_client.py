"""The asynchronous client against a real server: connections that break, answers that get lost, deadlines."""

import asyncio
import time as real_time

import grpc
import pytest

from clients.python.tests.scripted_gateway import Refusal, ScriptedGateway, Warned, change, generation, refusal
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.error_pb2 import Failure
from hfgateway.v1.generation_pb2 import Generation
from hfgateway_client import AsyncClient, CaughtUp, Client, GenerationChanged, RetryPolicy, errors, soul, state_name

INPUT = soul("a lighthouse")
WARNINGS = ("input.model.parameters.duration: must be at most 15", "input.model.parameters.seed: is not known")
NEVER_TAKEN_UP = Refusal(grpc.StatusCode.CANCELLED, Failure())
DRAINING = refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", "draining", retry_delay=0.05)


def submitted(state: str = "PENDING", revision: int = 1, **fields: object) -> pb.SubmitGenerationResponse:
    return pb.SubmitGenerationResponse(generation=generation(state, revision, **fields))


async def test_a_lost_submit_answer_is_asked_for_again_with_the_same_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", gateway.cut, submitted())

    submission = await client.submit(INPUT)

    first, second = gateway.requests["SubmitGeneration"]
    assert first == second
    assert first.idempotency_key == submission.idempotency_key != ""


async def test_a_submission_has_what_the_gateway_warns_of(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("SubmitGeneration", Warned(submitted(), *WARNINGS), submitted())

    assert (await client.submit(INPUT)).warnings == WARNINGS
    assert (await client.submit(INPUT)).warnings == ()


async def test_who_gets_no_submission_is_called_with_each_warning(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    told: list[str] = []
    gateway.on("SubmitGeneration", *[Warned(submitted("COMPLETED"), *WARNINGS)] * 2)
    gateway.on("EstimateGeneration", *[Warned(pb.EstimateGenerationResponse(description="free"), *WARNINGS)] * 2)

    await client.generate(INPUT, on_warning=told.append)
    estimate = await client.estimate(INPUT, on_warning=told.append)

    assert estimate.description == "free"
    assert told == [*WARNINGS, *WARNINGS]
    # Nobody has to listen.
    assert (await client.generate(INPUT)).done
    assert await client.estimate(INPUT) == estimate


async def test_the_synchronous_client_has_warnings_too(gateway: ScriptedGateway) -> None:
    gateway.on("SubmitGeneration", Warned(submitted(), *WARNINGS))

    def submit() -> tuple[str, ...]:
        with Client(gateway.address) as client:
            return client.submit(INPUT).warnings

    assert await asyncio.to_thread(submit) == WARNINGS


async def test_an_unresolved_submission_is_asked_for_again(gateway: ScriptedGateway, client: AsyncClient) -> None:
    unresolved = refusal("ABORTED", "SUBMISSION_UNRESOLVED", retry_delay=0.01)
    gateway.on("SubmitGeneration", unresolved, submitted())

    submission = await client.submit(INPUT, idempotency_key="order-7")

    assert submission.id == "g1"
    assert [request.idempotency_key for request in gateway.requests["SubmitGeneration"]] == ["order-7", "order-7"]


async def test_a_refused_submit_is_not_repeated_and_tells_its_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", refusal("FAILED_PRECONDITION", "IDEMPOTENCY_KEY_REUSED"))

    with pytest.raises(errors.KeyReused) as caught:
        await client.submit(INPUT, idempotency_key="order-7")

    assert caught.value.idempotency_key == "order-7"


async def test_a_submit_without_answer_ends_at_its_deadline_and_tells_its_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", gateway.hang)

    with pytest.raises(errors.DeadlineExceeded) as caught:
        await client.submit(INPUT, timeout=2.0)

    assert caught.value.idempotency_key == gateway.requests["SubmitGeneration"][0].idempotency_key


async def test_the_deadline_leaves_room_for_the_wait_timeout(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("SubmitGeneration", submitted())

    await client.submit(INPUT, wait_for="done", wait_timeout=600.0)

    assert gateway.time_remaining is not None
    assert 600 < gateway.time_remaining < 665


async def test_a_gateway_that_is_away_ends_the_call_at_its_deadline() -> None:
    async with AsyncClient("127.0.0.1:1", timeout=0.5) as client:
        with pytest.raises(errors.Unavailable):
            await client.get("g1")


async def test_a_watch_resumes_after_the_connection_was_cut_and_tells_nothing_twice(
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


async def test_a_watch_outlasts_a_drain_and_waits_as_long_as_it_is_asked_to(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("WatchGeneration", [change("QUEUED", 1), DRAINING], [DRAINING], [change("COMPLETED", 2)])

    began = real_time.monotonic()
    revisions = [changed.revision async for changed in client.watch("g1")]

    assert revisions == [1, 2]
    assert real_time.monotonic() - began >= 0.1


async def test_a_call_that_the_gateway_never_took_up_is_made_again(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    """A server that ends cancels what has reached it and was not taken up yet."""
    gateway.on("SubmitGeneration", NEVER_TAKEN_UP, submitted())
    gateway.on("WatchGeneration", [change("QUEUED", 1), NEVER_TAKEN_UP], [NEVER_TAKEN_UP], [change("COMPLETED", 2)])

    assert (await client.submit(INPUT)).id == "g1"
    assert [changed.revision async for changed in client.watch("g1")] == [1, 2]
    first, second = gateway.requests["SubmitGeneration"]
    assert first == second


async def test_what_ends_because_the_client_is_closed_is_not_made_again(gateway: ScriptedGateway) -> None:
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


async def test_a_watch_ends_with_the_error_that_no_resuming_helps(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("WatchGeneration", [refusal("NOT_FOUND", "NOT_FOUND", "no such generation")])

    with pytest.raises(errors.NotFound, match="no such generation"):
        await anext(client.watch("unknown"))


async def test_a_watch_gives_up_on_a_gateway_that_stays_away() -> None:
    async with AsyncClient("127.0.0.1:1", retry=RetryPolicy(resume_watches_for=0.3)) as client:
        with pytest.raises(errors.Unavailable):
            await anext(client.watch("g1"))


async def test_a_watch_has_a_deadline_where_it_is_given_one(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("WatchGeneration", [change("QUEUED", 1), gateway.hang])

    watch = client.watch("g1", timeout=2.0)
    assert (await anext(watch)).revision == 1
    with pytest.raises(errors.DeadlineExceeded):
        await anext(watch)


async def test_leaving_a_watch_ends_its_call(gateway: ScriptedGateway, client: AsyncClient) -> None:
    reached, left = asyncio.Event(), asyncio.Event()

    async def wait_for_the_end(_request: object) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    gateway.on("WatchGeneration", [change("QUEUED", 1), wait_for_the_end])
    watch = client.watch("g1")
    await anext(watch)
    await reached.wait()
    await watch.aclose()

    assert await asyncio.wait_for(left.wait(), 5)


async def test_a_watch_of_many_resumes_with_its_token(gateway: ScriptedGateway, client: AsyncClient) -> None:
    def news(token: str, **fields: object) -> pb.WatchGenerationsResponse:
        return pb.WatchGenerationsResponse(resume_token=token, **fields)

    gateway.on(
        "WatchGenerations",
        [news("a", generation=generation("QUEUED", 1)), news("b", caught_up=True), gateway.cut],
        [news("c", generation=generation("COMPLETED", 2)), news("d", caught_up=True)],
    )

    seen = [event async for event in client.watch_many(ids=["g1"])]

    assert [request.resume_token for request in gateway.requests["WatchGenerations"]] == ["", "b"]
    assert [type(event) for event in seen] == [GenerationChanged, CaughtUp, GenerationChanged]


async def test_generate_submits_watches_and_returns_what_completed(
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


async def test_generate_raises_what_ended_without_output(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [change("NSFW", 2)])

    with pytest.raises(errors.GenerationModerated) as caught:
        await client.generate(INPUT)

    assert caught.value.generation.id == "g1"


async def test_generate_on_a_known_key_that_is_done_watches_nothing(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("SubmitGeneration", submitted("COMPLETED", 5))

    assert (await client.generate(INPUT, idempotency_key="order-7")).revision == 5
    assert "WatchGeneration" not in gateway.requests


async def test_generate_ends_at_its_timeout_and_tells_the_key(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("SubmitGeneration", submitted())
    gateway.on("WatchGeneration", [change("QUEUED", 2), gateway.hang])

    with pytest.raises(errors.DeadlineExceeded) as caught:
        await client.generate(INPUT, idempotency_key="order-7", timeout=0.3)

    assert caught.value.idempotency_key == "order-7"


async def test_wait_asks_until_it_is_done(gateway: ScriptedGateway, client: AsyncClient) -> None:
    def answer(state: str, revision: int) -> pb.WaitGenerationResponse:
        return pb.WaitGenerationResponse(generation=generation(state, revision))

    gateway.on("WaitGeneration", answer("QUEUED", 1), gateway.cut, answer("COMPLETED", 2))

    assert (await client.wait("g1")).done


async def test_wait_returns_what_it_is_by_then(gateway: ScriptedGateway, client: AsyncClient) -> None:
    async def take_the_time(request: pb.WaitGenerationRequest) -> pb.WaitGenerationResponse:
        await asyncio.sleep(request.timeout.ToMilliseconds() / 1000)
        return pb.WaitGenerationResponse(generation=generation("QUEUED", 1))

    gateway.on("WaitGeneration", *[take_the_time] * 3)

    assert not (await client.wait("g1", timeout=0.1)).done


async def test_the_api_key_goes_with_every_call(gateway: ScriptedGateway) -> None:
    gateway.on("GetGeneration", pb.GetGenerationResponse(generation=generation("QUEUED", 1)))
    gateway.on("WatchGeneration", [change("COMPLETED", 1)])

    async with AsyncClient(gateway.address, api_key="hfg_test") as client:
        await client.get("g1")
        assert gateway.metadata["authorization"] == "Bearer hfg_test"
        assert [changed.done async for changed in client.watch("g1")] == [True]
        assert gateway.metadata["authorization"] == "Bearer hfg_test"
        assert gateway.metadata["user-agent"].startswith("hfgateway-client-python/")
