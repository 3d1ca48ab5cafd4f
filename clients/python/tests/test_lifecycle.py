"""The life of a client: before its loop runs, when it is closed, and its errors in other processes."""

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, change, generation, refusal
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.character_service_pb2 import SoulCharacter
from hfgateway.v1.error_pb2 import FieldViolation
from hfgateway_client import AsyncClient, Client, error_from_generation, errors, soul
from hfgateway_client.errors import GatewayError

FOUND = pb.GetGenerationResponse(generation=generation("QUEUED", 1))


async def test_a_client_that_was_made_before_the_loop_works_in_it(gateway: ScriptedGateway) -> None:
    gateway.on("GetGeneration", FOUND)
    with ThreadPoolExecutor(1) as threads:
        client = threads.submit(AsyncClient, gateway.address).result(60)
    assert (await client.get("g1")).id == "g1"
    await client.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_closing_fails_open_calls_and_cancels_no_task(gateway: ScriptedGateway, stream: bool) -> None:
    arrived = asyncio.Event()

    async def hang(_request: object) -> None:
        arrived.set()
        await asyncio.Event().wait()

    gateway.on("GetGeneration", hang)
    gateway.on("WatchGeneration", [change("QUEUED", 1), hang])
    client = AsyncClient(gateway.address)

    async def watch() -> None:
        async for _ in client.watch("g1"):
            pass

    task = asyncio.create_task(watch() if stream else client.get("g1"))
    await arrived.wait()
    await client.close()
    with pytest.raises(errors.ClientClosed):
        await task
    with pytest.raises(errors.ClientClosed):
        await client.get("g1")
    assert not task.cancelled()


async def test_a_task_that_its_owner_cancels_stays_canceled_although_the_client_is_closed(
    gateway: ScriptedGateway,
) -> None:
    arrived = asyncio.Event()

    async def hang(_request: object) -> None:
        arrived.set()
        await asyncio.Event().wait()

    gateway.on("GetGeneration", hang)
    client = AsyncClient(gateway.address)
    task = asyncio.create_task(client.get("g1"))
    await arrived.wait()
    task.cancel()
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_closed_client_raises_an_error_of_the_gateway() -> None:
    used, unused = Client("127.0.0.1:1", timeout=0.1), Client()
    with pytest.raises((errors.Unavailable, errors.DeadlineExceeded)):
        used.get("g1")
    for client in (used, unused):
        client.close()
        client.close()
        with pytest.raises(errors.ClientClosed, match="the client is closed"):
            client.get("g1")
        with pytest.raises(errors.ClientClosed):
            next(client.watch("g1"))
        with pytest.raises(errors.ClientClosed):
            client.upload(b"x", "image/png")


def test_a_client_that_is_closed_before_its_call_starts_raises_an_error_of_the_gateway() -> None:
    asked, closed = threading.Event(), threading.Event()

    def key() -> str:
        asked.set()
        assert closed.wait(10)
        return "hfg_key"

    client = Client("127.0.0.1:1", api_key=key)
    with ThreadPoolExecutor(1) as threads:
        calling = threads.submit(client.submit, soul("a fox"))
        assert asked.wait(10)
        client.close()
        closed.set()
        with pytest.raises(errors.ClientClosed) as raised:
            calling.result(timeout=30)
    assert raised.value.idempotency_key


async def test_a_submission_can_be_pickled(gateway: ScriptedGateway, client: AsyncClient) -> None:
    warning = FieldViolation(field="input.model.parameters", description="is not known")
    response = pb.SubmitGenerationResponse(generation=generation("QUEUED", 2), warnings=[warning])
    gateway.on("SubmitGeneration", response)
    submission = await client.submit(soul("a fox"))
    assert pickle.loads(pickle.dumps(submission)) == submission
    assert list(submission.warnings) == [warning]


async def test_errors_can_be_pickled(gateway: ScriptedGateway) -> None:
    gateway.on(
        "SubmitGeneration", refusal("INVALID_ARGUMENT", "INVALID_INPUT", "empty", input__soul__prompt="is empty")
    )
    async with AsyncClient(gateway.address) as client:
        with pytest.raises(errors.InvalidInput) as raised:
            await client.submit(soul(""))
    moderated = error_from_generation(generation("NSFW", 3, idempotency_key="order-7"))
    training = errors.TrainingFailed(SoulCharacter(id="c1"), "order-8", "no face", reason="INPUT_REFUSED")
    for error in (raised.value, moderated, training, errors.ClientClosed()):
        restored: GatewayError = pickle.loads(pickle.dumps(error))
        assert type(restored) is type(error)
        assert (str(restored), restored.args, restored.__dict__) == (str(error), error.args, error.__dict__)
