"""Cancel, delete, estimate and explain, and calls that get no response."""

from __future__ import annotations

from behaviours.stage import Stage, behaviour, raises, unique
from hfgateway_client import RetryPolicy, errors, soul, state_name


@behaviour
async def cancel_queued(stage: Stage) -> None:
    prompt = unique("a fox")
    submission = await stage.queued(prompt)
    assert state_name(await stage.client.cancel(submission.id)) == "CANCELED"
    assert state_name(await stage.client.cancel(submission.id)) == "CANCELED"
    await stage.charged(prompt, 0, 1)


@behaviour
async def cancel_pending(stage: Stage) -> None:
    prompt = unique("a fox")
    await stage.plan(prompt, on="submit", status=429, body={"detail": "full"}, headers={"Retry-After": "60"})
    submission = await stage.client.submit(soul(prompt), wait_timeout=0.5)
    assert state_name(submission.generation) == "PENDING"
    assert state_name(await stage.client.cancel(submission.id)) == "CANCELED"
    await stage.control("restart")  # a restarted gateway does not know the Retry-After, and sends what is still pending
    await stage.charged(prompt, 0, 1)


@behaviour
async def cancel_in_progress(stage: Stage) -> None:
    generation = await stage.running(unique("a fox"))
    with raises(errors.NotCancelable, "NOT_CANCELABLE") as raised:
        await stage.client.cancel(generation.id)
    assert raised.error.metadata["state"] == "IN_PROGRESS"


@behaviour
async def cancel_ended(stage: Stage) -> None:
    generation = await stage.completed(unique("a fox"))
    with raises(errors.NotCancelable, "NOT_CANCELABLE") as raised:
        await stage.client.cancel(generation.id)
    assert raised.error.metadata["state"] == "COMPLETED"


@behaviour
async def estimate(stage: Stage) -> None:
    prompt = unique("a fox")
    response = await stage.client.estimate(soul(prompt))
    assert float(response.cost.credits) > 0
    await stage.charged(prompt, 0, 0)


@behaviour
async def estimate_upstream_away(stage: Stage) -> None:
    prompt = unique("a fox")
    await stage.plan(prompt, on="estimate", kind="503", times=100)
    async with stage.another(retry=RetryPolicy(repeat_calls_for=0.0)) as client:
        with raises(errors.UpstreamUnavailable, "UPSTREAM_UNAVAILABLE") as raised:
            await client.estimate(soul(prompt))
    assert raised.error.retryable


@behaviour
async def estimate_credentials_refused(stage: Stage) -> None:
    prompt = unique("a fox")
    await stage.plan(prompt, on="estimate", status=401, body={"detail": "Invalid credentials"})
    with raises(errors.UpstreamCredentialsRefused, "UPSTREAM_CREDENTIALS_REFUSED"):
        await stage.client.estimate(soul(prompt))


@behaviour
async def delete(stage: Stage) -> None:
    prompt = unique("a fox")
    generation = await stage.completed(prompt)
    assert await stage.client.delete(generation.id)
    with raises(errors.NotFound, "NOT_FOUND"):
        await stage.client.get(generation.id)
    with raises(errors.KeyReused, "IDEMPOTENCY_KEY_REUSED"):
        await stage.client.submit(soul(prompt), idempotency_key=generation.idempotency_key)
    await stage.charged(prompt, 1, 1)


@behaviour
async def delete_not_done(stage: Stage) -> None:
    submission = await stage.queued(unique("a fox"))
    with raises(errors.NotDone, "NOT_DONE"):
        await stage.client.delete(submission.id)


@behaviour
async def explain(stage: Stage) -> None:
    generation = await stage.completed(unique("a fox"))
    story = await stage.client.explain(generation.id)
    calls = [event.upstream_call for event in story.events if event.HasField("upstream_call")]
    assert [call.http_status for call in calls if call.method == "POST"] == [200], calls
    assert [event.revision for event in story.events if event.revision] == list(range(1, generation.revision + 1))
    assert story.generation.id == generation.id


@behaviour
async def deadline(stage: Stage) -> None:
    prompt = unique("a fox")
    await stage.plan(prompt, on="estimate", delay=60)
    async with stage.another(timeout=5.0) as client:  # enough for the second call
        with raises(errors.DeadlineExceeded, ""):
            await client.estimate(soul(prompt))
        assert float((await client.estimate(soul(unique("a hare")))).cost.credits) > 0
