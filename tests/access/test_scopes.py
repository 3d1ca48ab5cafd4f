"""Scopes, expiry and rotation of API keys."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import MethodOptions

from gateway.access.scopes import REQUIRED_SCOPES, Scope
from gateway.generations.reads import CHECK_INTERVAL
from gateway.rpc.services import PUBLIC_SERVICES
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import token_service_pb2 as token_pb
from hfgateway_client import AsyncClient, inputs
from hfgateway_client.errors import InvalidCredentials
from tests.access.test_keys import hfgateway
from tests.support.running import WAIT_TIMEOUT, Running, eventually, soul
from tests.support.timeline import run_timed
from tests.support.transports import TRANSPORTS, RpcFailure, Transport

READ = pb.ListGenerationsRequest()


def test_every_call_with_side_effects_needs_more_than_reading() -> None:
    methods = {method.name: method for service in PUBLIC_SERVICES for method in service.methods}
    reading = {
        name
        for name, method in methods.items()
        if method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    }
    # These have no option, but change nothing. A watch token only permits reading.
    reading |= {name for name in methods if name.startswith(("Watch", "Wait"))}
    reading |= {"EstimateGeneration", "CreateWatchToken"}
    reflection = {"ServerReflectionInfo"}
    assert REQUIRED_SCOPES.keys() == methods.keys() | reflection
    assert {name for name, scope in REQUIRED_SCOPES.items() if scope is Scope.READ} == reading | reflection
    ending = {"CancelGeneration", "DeleteGeneration", "DeleteCharacter", "InterruptSession"}
    assert {name for name, scope in REQUIRED_SCOPES.items() if scope is Scope.CANCEL} == ending


async def code(client: Transport, method: str, request: object) -> str:
    try:
        await client.call(method, request)  # type: ignore[arg-type]  # a message
    except RpcFailure as refused:
        assert refused.code == "NOT_FOUND" or refused.failure.reason in (
            error_pb2.ERROR_REASON_NOT_ALLOWED,
            error_pb2.ERROR_REASON_INVALID_CREDENTIALS,
        )
        return refused.code
    return "OK"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_key_may_make_only_the_calls_of_its_scopes(running: Running, transport: str) -> None:
    requests = {
        Scope.READ: ("ListGenerations", READ),
        Scope.SUBMIT: ("SubmitGeneration", soul("a fox")),
        Scope.CANCEL: ("CancelGeneration", pb.CancelGenerationRequest(id="unknown")),
    }
    _, secret = await running.gateway.access.create_key("red", "", [Scope.ADMIN])
    operator = running.caller(transport, secret)
    assert {await code(operator, *request) for request in requests.values()} == {"PERMISSION_DENIED"}
    for scope in requests:
        _, secret = await running.gateway.access.create_key("red", "", [scope])
        client = running.caller(transport, secret)
        codes = {other: await code(client, *request) for other, request in requests.items()}
        expected = dict.fromkeys(requests, "PERMISSION_DENIED")
        assert codes == expected | {scope: "NOT_FOUND" if scope is Scope.CANCEL else "OK"}
    assert len(running.ledger.submissions) == 1


async def test_a_key_is_refused_once_it_has_expired_and_so_are_its_tokens(running: Running) -> None:
    access = running.gateway.access
    now = access._clock.moment().wall
    key, secret = await access.create_key("red", "", expire_time=now + 1000)
    client = running.caller("grpc", secret)
    request = token_pb.CreateWatchTokenRequest(filter={"ids": ["one"]}, ttl={"seconds": 3000})
    token = await client.call("CreateWatchToken", request)
    assert token.expire_time.ToMicroseconds() / 1e6 == pytest.approx(now + 1000, abs=1e-3)
    watcher = running.caller("grpc", token.token)
    assert [await code(one, "ListGenerations", READ) for one in (client, watcher)] == ["OK", "OK"]

    for overlap, ends in (5000, now + 1000), (500, now + 500):
        await access.rotate_key(key.id, overlap)
        stored = {one.id: one.expire_time for one in await running.gateway._core.store.keys.api_keys()}
        assert stored.pop(key.id) == pytest.approx(ends, abs=100)
        assert set(stored.values()) == {now + 1000}

    access._keys[key.id] = dataclasses.replace(key, expire_time=now)

    assert [await code(one, "ListGenerations", READ) for one in (client, watcher)] == ["UNAUTHENTICATED"] * 2


async def test_a_rotated_key_is_valid_until_the_end_of_its_overlap(running: Running) -> None:
    made = await hfgateway(
        running.store_path, "create", "--tenant", "red", "--name", "shop", "--scope", "read", "--expires-in", "90d"
    )
    old = made.out.strip()
    key_id = old.split("_")[1]
    new = (await hfgateway(running.store_path, "rotate", key_id, "--overlap", "1h")).out.strip()
    assert [await code(running.caller("grpc", one), "ListGenerations", READ) for one in (old, new)] == ["OK", "OK"]
    lines = [line.split("\t") for line in (await hfgateway(running.store_path, "list")).out.splitlines()]
    assert [line[1] + line[3] + line[4] + line[5] for line in lines] == ["redactiveshopread"] * 2
    assert lines[0][6] < lines[1][6]

    # It was rotated before, so this key has only the rest of the overlap, and the operator has to know.
    again = await hfgateway(running.store_path, "rotate", key_id, "--overlap", "0")
    assert again.code == 0
    assert again.err.splitlines()[-1] == f"the new key expires at {lines[0][6]}, as {key_id} would have"

    assert await code(running.caller("grpc", old), "ListGenerations", READ) == "UNAUTHENTICATED"
    assert (await hfgateway(running.store_path, "list")).out.splitlines()[0].split("\t")[3] == "expired"
    refused = await hfgateway(running.store_path, "rotate", key_id)
    assert refused.code != 0
    assert "names a key that was revoked or has expired" in refused.err


@pytest.mark.parametrize("renewed", [True, False], ids=["renewed", "not renewed"])
async def test_long_calls_continue_with_the_next_key_once_theirs_has_expired(running: Running, renewed: bool) -> None:
    access = running.gateway.access
    old, secret = await access.create_key("red", "")
    _, following = await access.rotate_key(old.id, 5000)
    another, _ = await access.create_key("red", "")
    present = secret
    retries: list[str] = []
    async with (
        asyncio.timeout(WAIT_TIMEOUT),
        AsyncClient(
            running.gateway.grpc_address,
            api_key=lambda: present,
            on_retry=lambda error, _: retries.append(error.reason),
        ) as client,
    ):
        fox = (await client.submit(inputs.soul("a fox"))).id

        async def watched() -> list[int]:
            return [generation.revision async for generation in client.watch(fox)]

        owl = client.submit(inputs.soul("an owl"), wait_for="done", wait_timeout=3600)
        calls: list[asyncio.Future[Any]] = [asyncio.ensure_future(call) for call in (watched(), client.wait(fox), owl)]
        for method in ("WatchGeneration", "WaitGeneration", "SubmitGeneration"):
            await running.calls_open(method, 1)
        await eventually(lambda: len(running.ledger.charges) == 2)

        present = following if renewed else secret
        access._keys[old.id] = dataclasses.replace(old, expire_time=access._clock.moment().wall)
        await access.revoke_key(another.id)  # wakes the calls, which check their keys

        if renewed:
            await eventually(lambda: len(retries) == 3)
            running.clock.advance(60)
            revisions, waited, submitted = await asyncio.gather(*calls)
            assert revisions == list(range(1, waited.revision + 1))
            assert waited.done
            assert submitted.generation.done
        else:
            for ended in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(ended, InvalidCredentials)
                assert ended.message == "the API key has expired"
        assert retries == ["GATEWAY_UNAVAILABLE"] * 3
        assert len(running.ledger.charges) == 2


async def test_a_waiting_call_ends_soon_after_its_key_has_expired(tmp_path: Path) -> None:
    """Nothing wakes it: neither a change of the generation nor the revocation of a key."""
    async with run_timed(tmp_path, AUTH="keys") as timed, asyncio.timeout(WAIT_TIMEOUT):
        access = timed.gateway.access
        _, secret = await access.create_key("red", "", expire_time=access._clock.moment().wall + 10)
        client = timed.caller("grpc", secret)
        stored = await client.call("SubmitGeneration", soul("a fox [slow=3600]"))
        waiting = pb.WaitGenerationRequest(id=stored.generation.id)
        waiting.timeout.seconds = 3600
        submission = soul("an owl [slow=3600]", wait_for=pb.WAIT_FOR_DONE)
        submission.wait_timeout.seconds = 3600
        calls = [
            asyncio.ensure_future(client.call("WaitGeneration", waiting)),
            asyncio.ensure_future(client.call("SubmitGeneration", submission)),
        ]
        for method in ("WaitGeneration", "SubmitGeneration"):
            await timed.calls_open(method, 1)
        await eventually(lambda: len(timed.ledger.charges) == 2)
        await timed.advance(9)
        assert not any(call.done() for call in calls)
        await timed.advance(CHECK_INTERVAL)
        for ended in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(ended, RpcFailure)
            assert (ended.reason, ended.message) == ("GATEWAY_UNAVAILABLE", "the API key has expired")


@pytest.mark.parametrize("arguments", [("--expires-in", "0"), ("--expires-in", "soon"), ("--scope", "all")])
async def test_an_invalid_key_is_not_created(running: Running, arguments: tuple[str, ...]) -> None:
    assert (await hfgateway(running.store_path, "create", "--tenant", "red", *arguments)).code != 0
    assert (await hfgateway(running.store_path, "list")).out == ""
