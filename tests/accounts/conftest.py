"""A gateway with API keys and an encryption key, and a sandbox with several accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hfgateway.admin.v1 import admin_service_pb2 as pb
from hfgateway.v1 import generation_service_pb2 as generations
from tests.support.operator import ask
from tests.support.running import WAIT_TIMEOUT, Generation, Running, Start, name_of, soul, starting
from tests.support.transports import Transport

KEY = "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHMgMDEyMzQ1Njc="
MAIN, FILMS, ADS = "sandbox:sandbox", "films:films-secret-1", "ads:ads-secret-1"
NEWER = "newer:films-secret-2"
"""The sandbox has another account for these, which knows nothing of the requests of FILMS."""


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Return a function that starts a gateway; it takes the arguments of `run`."""
    everyone = f"{MAIN} {FILMS} {ADS} {NEWER}"
    # With a known limit, no tenant waits until another one's generations have started.
    usual = {"AUTH": "keys", "ACCOUNTS_KEY": KEY, "UPSTREAM_CONCURRENCY": 200, "credentials": everyone}
    async with starting(tmp_path, **usual) as start:
        yield start


@pytest.fixture
async def running(start: Start) -> Running:
    """A gateway with the accounts films and ads."""
    running = await start()
    await add(running, "films", FILMS)
    await add(running, "ads", ADS)
    return running


async def add(running: Running, name: str, credentials: str, tenant: str = "") -> pb.Account:
    request = pb.AddAccountRequest(name=name, credentials=credentials, tenant=tenant)
    answer: pb.AddAccountResponse = await ask(running, "AddAccount", request)
    return answer.account


async def rotate(running: Running, name: str, credentials: str) -> pb.Account:
    request = pb.RotateAccountRequest(name=name, credentials=credentials)
    answer: pb.RotateAccountResponse = await ask(running, "RotateAccount", request)
    return answer.account


def assignment(tenant: str, **weights: int) -> pb.AssignAccountsRequest:
    accounts = [pb.WeightedAccount(name=name, weight=weight) for name, weight in weights.items()]
    return pb.AssignAccountsRequest(tenant=tenant, accounts=accounts)


async def assign(running: Running, tenant: str, **weights: int) -> None:
    await ask(running, "AssignAccounts", assignment(tenant, **weights))


async def listed(running: Running, *, check: bool = False) -> pb.ListAccountsResponse:
    found: pb.ListAccountsResponse = await ask(running, "ListAccounts", pb.ListAccountsRequest(check=check))
    return found


async def caller(running: Running, tenant: str) -> Transport:
    """Return a client of a tenant."""
    return running.caller("grpc", await running.key(tenant))


async def submit(caller: Transport, request: generations.SubmitGenerationRequest) -> Generation:
    answer: generations.SubmitGenerationResponse = await caller.call("SubmitGeneration", request)
    return answer.generation


async def accepted(caller: Transport, prompt: str) -> Generation:
    """Submit, and return the generation when it is accepted."""
    return await submit(caller, soul(prompt, wait_for=generations.WAIT_FOR_ACCEPTED))


async def finish(running: Running, caller: Transport, generation_id: str) -> str:
    """Advance the sandbox's clock, and return the state in which a generation ends."""
    running.clock.advance(60)
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for answer in caller.stream("WatchGeneration", generations.WatchGenerationRequest(id=generation_id)):
            if answer.HasField("generation") and answer.generation.done:
                return name_of(answer.generation)
    raise AssertionError("the watch ended early")


def sent(running: Running, credentials: str) -> list[str]:
    """Return the prompts that the sandbox's account with these credentials has accepted."""
    return sorted(one.prompt for one in running.sandbox.state.accounts[credentials].generations.values())
