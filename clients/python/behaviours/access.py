"""Authentication, tenants, TLS and watch tokens."""

from __future__ import annotations

import asyncio
import uuid

from behaviours.stage import TIMEOUT, Stage, behaviour, raises, unique
from hfgateway_client import AsyncClient, RetryPolicy, TlsConfig, errors, soul, state_name


@behaviour
async def no_key(stage: Stage) -> None:
    await _refused(stage, None)


@behaviour
async def wrong_key(stage: Stage) -> None:
    await _refused(stage, f"hfg_{uuid.uuid4().hex}")


async def _refused(stage: Stage, api_key: str | None) -> None:
    submission = await stage.queued(unique("a fox"))
    async with stage.another(api_key=api_key) as stranger:
        with raises(errors.InvalidCredentials, "INVALID_CREDENTIALS"):
            await stranger.get(submission.id)


@behaviour
async def other_tenant(stage: Stage) -> None:
    prompt, key = unique("a fox"), str(uuid.uuid4())
    first = await stage.client.submit(soul(prompt), idempotency_key=key)
    async with stage.another(api_key=stage.other_api_key) as other:
        with raises(errors.NotFound, "NOT_FOUND"):
            await other.get(first.id)
        second = await other.submit(soul(prompt), idempotency_key=key)
        assert (second.replayed, second.id != first.id) == (False, True)
    await stage.charged(prompt, 2, 2)


@behaviour
async def tls(stage: Stage) -> None:
    prompt = unique("a fox")
    async with stage.another(address=stage.tls_address, tls=TlsConfig(ca=stage.tls_ca)) as client:
        submission = await client.submit(soul(prompt))
    assert state_name(submission.generation) == "QUEUED"
    await stage.charged(prompt, 1, 1)
    async with stage.another(address=stage.tls_address, tls=True, retry=RetryPolicy(repeat_calls_for=0.0)) as stranger:
        with raises(errors.Unavailable, ""):
            await stranger.submit(soul(unique("a hare")))


@behaviour
async def watch_token(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    other = await stage.queued(unique("a hare"))
    token = await stage.client.create_watch_token(ids=[submission.id], ttl=60)
    assert token.token.startswith("hfw_")
    async with stage.another(api_key=token.token) as browser:
        watching = asyncio.create_task(_ends_as(browser, submission.id))
        with raises(errors.NotFound, "NOT_FOUND"):
            await browser.get(other.id)
        with raises(errors.NotAllowed, "NOT_ALLOWED"):
            await browser.submit(soul(unique("a fox")))
        await stage.advance(60)
        assert await watching == "COMPLETED"


async def _ends_as(client: AsyncClient, generation_id: str) -> str:
    states = [state_name(changed) async for changed in client.watch(generation_id, timeout=TIMEOUT)]
    return states[-1]
