"""Submissions: charged once despite retries and lost responses, and their errors."""

from __future__ import annotations

import asyncio

from behaviours.stage import Stage, behaviour, raises, unique
from hfgateway_client import errors, model, soul, state_name


@behaviour
async def submit(stage: Stage) -> None:
    prompt = unique("a fox")
    submission = await stage.client.submit(soul(prompt))
    assert submission.idempotency_key
    assert submission.generation.idempotency_key == submission.idempotency_key
    assert (state_name(submission.generation), submission.replayed) == ("QUEUED", False)
    await stage.charged(prompt, 1, 1)


@behaviour
async def submit_replay(stage: Stage) -> None:
    prompt, key = unique("a fox"), unique("order").replace(" ", "-")
    first = await stage.client.submit(soul(prompt), idempotency_key=key)
    second = await stage.client.submit(soul(prompt), idempotency_key=key)
    assert (first.id, first.replayed, second.replayed) == (second.id, False, True)
    await stage.charged(prompt, 1, 1)


@behaviour
async def submit_key_reused(stage: Stage) -> None:
    prompt, other = unique("a fox"), unique("a hare")
    submission = await stage.client.submit(soul(prompt))
    with raises(errors.KeyReused, "IDEMPOTENCY_KEY_REUSED") as raised:
        await stage.client.submit(soul(other), idempotency_key=submission.idempotency_key)
    assert raised.error.idempotency_key == submission.idempotency_key
    await stage.charged(other, 0, 0)


@behaviour
async def submit_over_cut_connection(stage: Stage) -> None:
    prompt = unique("a fox")
    await stage.plan(prompt, on="submit", delay=5)
    submitting = asyncio.create_task(stage.client.submit(soul(prompt)))
    await stage.submitted(prompt)
    await stage.cut()
    submission = await submitting
    assert submission.replayed
    assert state_name(submission.generation) == "QUEUED"
    await stage.charged(prompt, 1, 1)


@behaviour
async def submit_endpoint(stage: Stage) -> None:
    prompt = unique("a fox")
    submission = await stage.client.submit(model("v1/text2image/keyframes", "v1", prompt=prompt, count=2))
    assert (state_name(submission.generation), len(submission.generation.outputs)) == ("QUEUED", 2)
    await stage.charged(prompt, 1, 1)


@behaviour
async def submit_invalid(stage: Stage) -> None:
    with raises(errors.InvalidInput, "INVALID_INPUT") as raised:
        await stage.client.submit(soul(""))
    assert [violation.field for violation in raised.error.field_violations] == ["input.soul.prompt"]
    assert raised.error.idempotency_key


@behaviour
async def submit_refused(stage: Stage) -> None:
    prompt, other = unique("a fox"), unique("a hare")
    detail = [{"type": "value_error", "loc": ["body", "prompt"], "msg": "no foxes"}]
    await stage.plan(prompt, on="submit", status=422, body={"detail": detail})
    with raises(errors.InputRefused, "INPUT_REFUSED") as raised:
        await stage.client.submit(soul(prompt))
    assert raised.error.metadata["generation_id"]
    again = await stage.client.submit(soul(other), idempotency_key=raised.error.idempotency_key)
    assert not again.replayed
    await stage.charged(prompt, 0, 1)
    await stage.charged(other, 1, 1)


@behaviour
async def submit_out_of_credits(stage: Stage) -> None:
    prompt = unique("a fox")
    await stage.plan(prompt, on="submit", status=403, body={"detail": "not_enough_credits"})
    with raises(errors.InsufficientCredits, "INSUFFICIENT_CREDITS"):
        await stage.client.submit(soul(prompt))
    await stage.charged(prompt, 0, 1)


@behaviour
async def submit_model_unknown(stage: Stage) -> None:
    prompt = unique("a fox")
    await stage.plan(prompt, on="submit", status=404, body={"detail": "model_not_found"})
    with raises(errors.ModelUnknown, "MODEL_UNKNOWN"):
        await stage.client.submit(soul(prompt))
    await stage.charged(prompt, 0, 1)


@behaviour
async def submit_model_unavailable(stage: Stage) -> None:
    prompt = unique("a fox")
    await stage.plan(prompt, on="submit", status=423, body={"detail": "Model is temporarily blocked"})
    with raises(errors.ModelUnavailable, "MODEL_UNAVAILABLE"):
        await stage.client.submit(soul(prompt))
    await stage.charged(prompt, 0, 1)


@behaviour
async def submit_saturated(stage: Stage) -> None:
    prompt = unique("a fox")
    await stage.plan(prompt, on="submit", status=429, body={"detail": "full"}, headers={"Retry-After": "60"})
    with raises(errors.UpstreamSaturated, "UPSTREAM_SATURATED") as raised:
        await stage.client.submit(soul(prompt), fail_when_saturated=True)
    assert raised.error.retry_delay
    assert raised.error.retryable
    await stage.charged(prompt, 0, 1)
    await stage.control("restart")  # or the gateway would hold back the next submissions for 60 s


@behaviour
async def submit_uncertain(stage: Stage) -> None:
    prompt = unique("a fox")
    await stage.plan(prompt, on="submit", kind="lost")
    first = await stage.client.submit(soul(prompt), wait_timeout=0.2)
    await stage.until(first.id, "UNCERTAIN")
    submission = await stage.client.submit(soul(prompt), idempotency_key=first.idempotency_key, wait_timeout=0.2)
    assert (submission.id, state_name(submission.generation)) == (first.id, "UNCERTAIN")
    with raises(errors.NotCancelable, "NOT_CANCELABLE") as raised:
        await stage.client.cancel(submission.id)
    assert raised.error.metadata["state"] == "UNCERTAIN"
    await stage.charged(prompt, 1, 1)
