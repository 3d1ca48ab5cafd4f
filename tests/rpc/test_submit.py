"""SubmitGeneration: stored first, safe to repeat, charged once, and answered at the state the caller waits for."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gateway.generations.admission.admission import MIN_PAUSE
from gateway.generations.clock import SystemClock, since_boot
from gateway.generations.inputs import MAX_DEPTH
from gateway.generations.limits.model import Limits
from gateway.generations.model import Generation, GenerationId
from gateway.generations.state import SEND_TIMEOUT
from gateway.generations.stores import Claim, Claimed
from hfgateway.v1 import error_pb2, generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_input_pb2 import GenerationInput
from tests.rpc.conftest import Start
from tests.support.running import Running, eventually, model, name_of, soul
from tests.support.timeline import run_timed
from tests.support.transports import TRANSPORTS, RpcFailure, Transport


async def submit(client: Transport, request: pb.SubmitGenerationRequest | bytes) -> pb.SubmitGenerationResponse:
    answer: pb.SubmitGenerationResponse = await client.call("SubmitGeneration", request)
    return answer


def sent(running: Running, generation: generation_pb2.Generation) -> Any:
    """Return the sandbox's record of the generation."""
    found = running.sandbox.state.generation(generation.upstream.request_id)
    assert found is not None
    return found


async def test_the_time_until_a_submission_is_stored_shortens_its_wait(
    running: Running, client: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, waits = running.gateway._core.service, list[float | None]()
    wait = service.wait

    async def recorded(
        tenant: str, generation_id: GenerationId, enough: Any, seconds: float | None, check: Any
    ) -> Generation:
        waits.append(seconds)
        return await wait(tenant, generation_id, enough, seconds, check)

    monkeypatch.setattr(service, "wait", recorded)
    # The price takes longer than the rest of the deadline.
    monkeypatch.setattr("gateway.rpc.call.MARGIN", 59.8)
    await running.gateway._core.budgets.set("default", "tenant", Limits(credits_per_day=10**9), {"credits_per_day"})
    running.plan(on="estimate", delay=0.3)
    request = soul("a fox", wait_for=pb.WAIT_FOR_DONE)
    request.wait_timeout.FromSeconds(3600)
    await client.call("SubmitGeneration", request, timeout=60.0)
    assert waits == [0.0]


async def test_an_accepted_generation_is_returned_complete(running: Running, client: Transport) -> None:
    request = soul("a fox", "order-1", labels={"color": "red"})
    request.input.soul.seed = 7
    request.input.soul.aspect_ratio = "16:9"
    answer = await submit(client, request)
    generation = answer.generation
    assert not answer.replayed
    assert (name_of(generation), generation.done, generation.cancelable) == ("QUEUED", False, True)
    assert generation.model_id == "higgsfield-ai/soul/standard"
    assert generation.input == request.input
    assert (generation.idempotency_key, dict(generation.labels)) == ("order-1", {"color": "red"})
    assert generation.create_time.ToNanoseconds() <= generation.accept_time.ToNanoseconds()
    assert generation.accept_time == generation.update_time
    assert generation.upstream.request_id == running.ledger.charges[0].request_id
    assert generation.upstream.correlation_id
    assert generation.upstream.status == "queued"
    assert generation.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_SUBMIT
    for absent in ("failure", "delay", "start_time", "end_time", "outputs_expire_time"):
        assert not generation.HasField(absent), absent
    assert not generation.outputs


async def test_ids_are_uuid7_and_sort_by_creation(running: Running) -> None:
    ids = [(await running.submit(soul(f"fox {n}", wait_for=pb.WAIT_FOR_STORED))).id for n in range(5)]
    assert ids == sorted(ids)
    assert {UUID(one).version for one in ids} == {7}


async def test_concurrent_submits_with_one_key_are_charged_once(running: Running) -> None:
    calls = [submit(running.transports[name], soul("a fox", "one-key")) for name in TRANSPORTS for _ in range(8)]
    answers = await asyncio.gather(*calls)
    assert len({answer.generation.id for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert len(running.ledger.submissions) == len(running.ledger.charges) == 1


async def test_a_repeat_returns_the_current_generation(running: Running, client: Transport) -> None:
    first = await submit(client, soul("a fox"))
    await running.finish(first.generation.id)
    again = await submit(client, soul("a fox"))
    assert again.replayed
    assert again.generation.id == first.generation.id
    assert name_of(again.generation) == "COMPLETED"
    assert len(running.ledger.submissions) == 1


async def test_wait_for_applies_to_a_repeat(running: Running) -> None:
    first = await running.submit(soul("a fox"))
    waiting = asyncio.create_task(submit(running.grpc, soul("a fox", wait_for=pb.WAIT_FOR_DONE)))
    running.clock.advance(60)
    answer = await waiting
    assert answer.replayed
    assert (answer.generation.id, name_of(answer.generation)) == (first.id, "COMPLETED")


async def test_a_repeat_changes_neither_labels_nor_start_timeout(running: Running) -> None:
    first = await running.submit(soul("a fox", "one-key", labels={"color": "red"}))
    other = soul("a fox", "one-key", labels={"color": "blue"}, wait_for=pb.WAIT_FOR_STORED, fail_when_saturated=True)
    other.start_timeout.FromSeconds(1)
    again = await submit(running.grpc, other)
    assert again.replayed
    assert again.generation.id == first.id
    assert dict(again.generation.labels) == {"color": "red"}


async def test_inputs_are_compared_by_content_and_not_by_encoding(running: Running) -> None:
    wide = model("z-image/turbo", {"prompt": "a fox", "seed": 7}, "one-key")
    first = await running.submit(wide)
    turned = model("z-image/turbo", {"seed": 7.0, "prompt": "a fox"}, "one-key")
    unknown_field = turned.SerializeToString() + b"\xfa\x3f\x02hi"
    for client, request in ((running.transports["connect-json"], turned), (running.grpc, unknown_field)):
        again = await submit(client, request)
        assert again.replayed
        assert again.generation.id == first.id


async def test_an_explicit_false_differs_from_an_absent_field(running: Running) -> None:
    await running.submit(soul("a fox", "one-key"))
    given = soul("a fox", "one-key")
    given.input.soul.enhance_prompt = False
    with pytest.raises(RpcFailure) as raised:
        await running.submit(given)
    assert raised.value.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_unknown_json_fields_are_refused(running: Running) -> None:
    """Without a misspelt field, another generation would be charged than the requested one."""
    for soul_input, more in (
        ({"prompt": "a fox", "batchsize": 4}, {}),
        ({"prompt": "a fox"}, {"label": {"team": "a"}}),
    ):
        request = {"idempotency_key": "k", "input": {"soul": soul_input}} | more
        with pytest.raises(RpcFailure, match=r'no field named "(batchsize|label)"') as raised:
            await submit(running.transports["connect-json"], json.dumps(request).encode())
        assert raised.value.reason == "INVALID_INPUT"
    assert running.ledger.submissions == []


async def test_a_json_field_that_is_given_twice_is_refused(running: Running) -> None:
    """Otherwise the last one would count here, and perhaps the first one for a proxy or an audit on the way."""
    twice = '"input": {"soul": {"prompt": "a fox"}}, "idempotencyKey": "one", "idempotencyKey": "other"'
    within = '"input": {"soul": {"prompt": "a fox", "batchSize": 1, "batchSize": 4}}, "idempotencyKey": "k"'
    for fields in (twice, within):
        with pytest.raises(RpcFailure, match=r'"(idempotencyKey|batchSize)" is given twice') as raised:
            await submit(running.transports["connect-json"], f"{{{fields}}}".encode())
        assert raised.value.reason == "INVALID_INPUT"
    assert running.ledger.submissions == []


@pytest.mark.parametrize(
    "both",
    [
        {"idempotencyKey": "one", "idempotency_key": "other"},
        {"input": {"soul": {"prompt": "a fox", "batchSize": 1, "batch_size": 4}}},
        {"input": {"dop": {"imageUrls": ["https://a.test/1.png"], "motions": [{"motionId": "a", "motion_id": "b"}]}}},
    ],
)
async def test_a_json_field_that_is_given_in_both_spellings_is_refused(running: Running, both: dict[str, Any]) -> None:
    request = {"idempotencyKey": "k", "input": {"soul": {"prompt": "a fox"}}} | both
    with pytest.raises(RpcFailure, match=r"(idempotencyKey|batchSize|motionId) .*is given twice") as raised:
        await submit(running.transports["connect-json"], json.dumps(request).encode())
    assert raised.value.reason == "INVALID_INPUT"
    assert running.ledger.submissions == []


async def test_parameters_of_a_model_may_differ_in_their_spelling(running: Running) -> None:
    parameters = {"batch_size": 1, "batchSize": 4, "fields": {"value": {"nullValue": 1, "null_value": 2}}}
    request = {"idempotencyKey": "k", "input": {"model": {"modelId": "example/any", "parameters": parameters}}}
    with pytest.raises(RpcFailure) as raised:
        await submit(running.transports["connect-json"], json.dumps(request).encode())
    assert raised.value.reason == "MODEL_UNKNOWN"  # the sandbox knows no models with such parameters


async def test_json_may_have_both_names_of_a_field_and_null(running: Running) -> None:
    motion = {"motion_id": str(UUID(int=7))}
    dop = {"prompt": "a fox", "image_urls": ["https://files.example/a.png"], "motions": [motion]}
    request = {"idempotency_key": "k", "input": {"dop": dop}, "labels": {"later": "x"}, "waitFor": None}
    answer = await submit(running.transports["connect-json"], json.dumps(request).encode())
    assert name_of(answer.generation) == "QUEUED"
    assert dict(answer.generation.labels) == {"later": "x"}
    assert sent(running, answer.generation).parameters["motions"] == [{"id": str(UUID(int=7)), "strength": 1}]


@pytest.mark.parametrize(("prompt", "end"), [("[fail] a fox", "FAILED"), ("[nsfw] a fox", "NSFW")])
async def test_a_failure_after_acceptance_does_not_free_the_key(running: Running, prompt: str, end: str) -> None:
    first = await running.submit(soul(prompt))
    await running.finish(first.id, end)
    again = await submit(running.grpc, soul(prompt))
    assert again.replayed
    assert (again.generation.id, name_of(again.generation)) == (first.id, end)
    assert len(running.ledger.charges) == len(running.ledger.refunds) == 1


async def test_a_cancel_does_not_free_the_key(running: Running) -> None:
    first = await running.submit(soul("a fox"))
    await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=first.id))
    again = await submit(running.grpc, soul("a fox"))
    assert again.replayed
    assert (again.generation.id, name_of(again.generation)) == (first.id, "CANCELED")


async def test_a_freed_key_starts_a_new_generation_and_the_list_shows_both(running: Running) -> None:
    running.plan(on="submit", status=422, body={"detail": "no"})
    with pytest.raises(RpcFailure) as raised:
        await running.submit(soul("a fox", "one-key"))
    second = await running.submit(soul("a fox, better", "one-key"))
    request = pb.ListGenerationsRequest()
    request.filter.idempotency_key = "one-key"
    listed = (await running.grpc.call("ListGenerations", request)).generations
    assert [one.id for one in listed] == [second.id, raised.value.failure.metadata["generation_id"]]
    assert [name_of(one) for one in listed] == ["QUEUED", "FAILED"]


async def test_a_refusal_after_the_call_returned_fails_the_generation(running: Running, grpc: Transport) -> None:
    running.plan(on="submit", status=423, body={"detail": "blocked"})
    answer = await submit(grpc, soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    generation = await running.until(answer.generation.id, "FAILED")
    assert generation.failure.reason == error_pb2.ERROR_REASON_MODEL_UNAVAILABLE
    assert not generation.HasField("accept_time")


async def test_wait_for_stored_returns_before_higgsfield_responds(start: Start) -> None:
    running = await start(DRAIN=0.1)
    running.plan(on="submit", kind="hang", times=4)
    for name, client in running.transports.items():
        answer = await submit(client, soul(f"over {name}", wait_for=pb.WAIT_FOR_STORED))
        assert (name_of(answer.generation), answer.generation.revision) == ("PENDING", 1)
        assert (await running.get(answer.generation.id)).cancelable
    assert running.ledger.charges == []


async def test_wait_for_done_returns_at_the_end(running: Running, grpc: Transport) -> None:
    call = asyncio.create_task(submit(grpc, soul("a fox", wait_for=pb.WAIT_FOR_DONE)))
    await eventually(lambda: bool(running.ledger.charges))
    running.clock.advance(60)
    answer = await call
    assert answer.generation.done
    assert answer.generation.outputs[0].url.startswith(running.sandbox.url)


@pytest.mark.parametrize("wait_for", [pb.WAIT_FOR_ACCEPTED, pb.WAIT_FOR_DONE])
async def test_a_wait_timeout_is_not_an_error(running: Running, grpc: Transport, wait_for: Any) -> None:
    request = soul("a fox", wait_for=wait_for)
    request.wait_timeout.FromMilliseconds(100)
    assert not (await submit(grpc, request)).generation.done


async def test_a_submit_returns_before_its_own_deadline(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # Reserve nearly all of the deadline for sending the response, so that a slow machine meets it.
    monkeypatch.setattr("gateway.rpc.call.MARGIN", 59.9)

    async def answered(client: Transport) -> bool:
        request = soul(f"over {client.name}", wait_for=pb.WAIT_FOR_DONE)
        request.wait_timeout.FromSeconds(3600)
        answer: pb.SubmitGenerationResponse = await client.call("SubmitGeneration", request, timeout=60.0)
        return answer.generation.done

    assert await asyncio.gather(*map(answered, running.transports.values())) == [False] * len(TRANSPORTS)


async def test_canceling_a_submit_call_does_not_end_the_generation(running: Running) -> None:
    for name, client in running.transports.items():
        with running.held(on="submit"):
            call = asyncio.create_task(submit(client, soul(f"over {name}")))
            await eventually(lambda prompt=f"over {name}": prompt in _charged(running))  # type: ignore[misc]
            call.cancel()
            await running.calls_open("SubmitGeneration", 0)
        again = await submit(running.grpc, soul(f"over {name}"))
        assert again.replayed
        assert name_of(again.generation) == "QUEUED"
    assert len(running.ledger.charges) == len(running.ledger.submissions) == len(TRANSPORTS)


def _charged(running: Running) -> list[str]:
    return [one.prompt for one in running.ledger.charges]


async def test_a_lost_response_leaves_the_generation_uncertain(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    for name, client in running.transports.items():
        running.plan(on="submit", prompt=f"over {name}", kind="lost")
        request = soul(f"over {name}", wait_for=pb.WAIT_FOR_STORED)
        stored = await submit(client, request)
        await running.until(stored.generation.id, "UNCERTAIN")
        request.wait_for = pb.WAIT_FOR_ACCEPTED
        request.wait_timeout.FromMilliseconds(20)
        answer = await submit(client, request)
        generation = answer.generation
        assert answer.replayed
        assert (name_of(generation), generation.done, generation.cancelable) == ("UNCERTAIN", False, False)
        assert generation.delay.reason == error_pb2.ERROR_REASON_SUBMISSION_UNRESOLVED
    assert len(running.ledger.submissions) == len(running.ledger.charges) == len(TRANSPORTS)


async def test_a_generation_that_stays_uncertain_too_long_is_lost(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off", UNCERTAIN_TIMEOUT=1)
    running.plan(on="submit", kind="lost")
    stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    ended = await running.until(stored.id, "LOST")
    assert ended.done
    assert ended.failure.reason == error_pb2.ERROR_REASON_SUBMISSION_UNRESOLVED
    assert not ended.HasField("delay")
    again = await submit(running.grpc, soul("a fox"))
    assert again.replayed
    assert name_of(again.generation) == "LOST"
    assert len(running.ledger.submissions) == 1


async def test_a_submit_refused_by_a_drain_can_be_repeated_with_its_key(running: Running) -> None:
    with running.held(on="submit"):
        stored = await running.submit(soul("on its way", wait_for=pb.WAIT_FOR_STORED))
        await eventually(lambda: bool(running.ledger.charges))
        await running.begin_drain()
        with pytest.raises(RpcFailure) as raised:
            await running.submit(soul("a fox"))
        assert raised.value.reason == "GATEWAY_UNAVAILABLE"
        assert (await running.get(stored.id)).idempotency_key == stored.idempotency_key
    await running.stop_gateway()
    await running.start_gateway()
    assert name_of(await running.submit(soul("a fox"))) == "QUEUED"
    assert name_of(await running.get(stored.id)) == "QUEUED"
    assert running.ledger.double_charged_prompts == {}


async def test_a_refusal_reaches_all_concurrent_submits_with_the_key(running: Running) -> None:
    running.plan(on="submit", delay=0.2, status=422, body={"detail": "no"})
    calls = [submit(client, soul("a fox", "one-key")) for client in running.transports.values() for _ in range(3)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {one.reason for one in outcomes if isinstance(one, RpcFailure)} == {"INPUT_REFUSED"}
    accepted = {one.generation.id for one in outcomes if isinstance(one, pb.SubmitGenerationResponse)}
    assert len(accepted) == len(running.ledger.charges) <= 1


async def test_while_higgsfield_is_unreachable_a_generation_is_pending(start: Start) -> None:
    running = await start()
    await running.sandbox.stop()
    for name, client in running.transports.items():
        request = soul(f"over {name}")
        request.wait_timeout.FromMilliseconds(200)
        await submit(client, request)
    async for generation in running.history((await submit(running.grpc, soul("over grpc", **WAIT_NOT))).generation.id):
        if generation.HasField("delay"):
            assert name_of(generation) == "PENDING"
            assert generation.delay.reason == error_pb2.ERROR_REASON_UPSTREAM_UNAVAILABLE
            assert generation.delay.retryable
            break


WAIT_NOT: dict[str, Any] = {"wait_for": pb.WAIT_FOR_STORED}


async def test_outputs_ttl_is_passed_to_higgsfield(running: Running, grpc: Transport) -> None:
    request = soul("a fox")
    request.outputs_ttl.FromSeconds(3600)
    answer = await submit(grpc, request)
    assert sent(running, answer.generation).retention == 3600
    again = await submit(grpc, request)
    assert again.replayed


async def test_keys_and_labels_of_the_caller_are_not_sent_to_higgsfield(running: Running) -> None:
    generation = await running.submit(soul("a fox", "callers-own-key", labels={"color": "canary"}))
    assert sent(running, generation).parameters == {
        "prompt": "a fox", "resolution": "720p", "batch_size": 1,
    }  # fmt: skip
    (submission,) = running.ledger.submissions
    assert submission.idempotency_key == generation.id
    assert not running.ledger.foreign_headers


async def test_the_limits_of_a_submission_are_inclusive(running: Running, grpc: Transport) -> None:
    labels = {f"{number:02}".ljust(63, "a"): "r" * 255 for number in range(32)}
    request = soul("x" * (256 * 1024 - 8), "k" * 255, labels=labels)
    request.wait_timeout.FromSeconds(3600)
    request.outputs_ttl.FromSeconds(3600)
    assert len(request.input.SerializeToString()) == 256 * 1024
    answer = await submit(grpc, request)
    assert name_of(answer.generation) == "QUEUED"
    assert dict(answer.generation.labels) == labels
    request.input.soul.prompt += "x"
    with pytest.raises(RpcFailure) as raised:
        await submit(grpc, request)
    assert raised.value.fields == ["input"]


@pytest.mark.parametrize("kind", [field.name for field in GenerationInput.DESCRIPTOR.oneofs_by_name["kind"].fields])
async def test_an_empty_input_of_any_kind_is_refused_by_its_fields(
    kind: str, running: Running, grpc: Transport
) -> None:
    request = pb.SubmitGenerationRequest(idempotency_key="k")
    getattr(request.input, kind).SetInParent()
    with pytest.raises(RpcFailure) as raised:
        await submit(grpc, request)
    assert raised.value.reason == "INVALID_INPUT"
    assert all(field.startswith(f"input.{kind}.") for field in raised.value.fields)


async def test_whole_numbers_are_sent_without_a_fraction(running: Running) -> None:
    """Up to 2^53. A Struct cannot tell larger ones from their neighbours."""
    whole = {"prompt": "a fox", "seed": 2**31 - 1, "extra": [2**53, -(2**53), 2**53 + 2]}
    parameters = sent(running, await running.submit(model("z-image/turbo", whole, "k"))).parameters
    assert repr(parameters["seed"]) == "2147483647"
    assert repr(parameters["extra"]) == "[9007199254740992, -9007199254740992, 9007199254740994.0]"


async def test_an_accepted_nested_input_can_be_read_back(running: Running, client: Transport) -> None:
    accepted = [depth for depth in (10, 28, 29, 30, 31, 32, 33, 60) if await _nested_is_read_back(client, depth)]
    assert 10 in accepted
    assert 60 not in accepted


async def test_the_limit_of_nesting_is_the_same_over_every_transport(client: Transport) -> None:
    """A level of JSON is several of protobuf, whose parsers have limits as well."""
    for name, nest in (("objects", lambda inner: {"n": inner}), ("lists", lambda inner: [inner])):
        nested: Any = "leaf"
        for _ in range(MAX_DEPTH - 1):  # `parameters` is a level, too
            nested = nest(nested)
        request = model("kling-video/v2.5-turbo/pro/text-to-video", {"prompt": "a fox", "extra": nested}, name)
        answer = await submit(client, request)
        assert answer.generation.input == request.input
    deeper = model("kling-video/v2.5-turbo/pro/text-to-video", {"prompt": "a fox", "extra": [nested]}, "deeper")
    with pytest.raises(RpcFailure) as raised:
        await submit(client, deeper)
    assert raised.value.reason == "INVALID_INPUT"
    assert raised.value.fields[0].startswith("input.model.parameters.extra")


async def _nested_is_read_back(client: Transport, depth: int) -> bool:
    nested: Any = "leaf"
    for _ in range(depth):
        nested = {"n": nested}
    request = model("kling-video/v2.5-turbo/pro/text-to-video", {"prompt": "a fox", "extra": nested}, f"depth-{depth}")
    try:
        answer = await submit(client, request)
    except RpcFailure as failure:
        assert failure.reason == "INVALID_INPUT"
        return False
    assert answer.generation.input == request.input
    page = await client.call("ListGenerations", pb.ListGenerationsRequest(include_input=True))
    assert page.generations[0].input == request.input
    stream = client.stream("WatchGeneration", pb.WatchGenerationRequest(id=answer.generation.id, include_input=True))
    async with contextlib.aclosing(stream):  # type: ignore[type-var]
        assert (await anext(stream)).generation.input == request.input
    return True


@pytest.mark.parametrize("too_long", [0, 1])
async def test_a_start_timeout_is_a_valid_duration(running: Running, too_long: int) -> None:
    request = soul("a fox")
    request.start_timeout.seconds = 315_576_000_000 + too_long
    if too_long:
        with pytest.raises(RpcFailure) as refused:
            await running.submit(request)
        assert refused.value.reason == "INVALID_INPUT"
    else:
        await running.finish((await running.submit(request)).id)


async def test_a_start_timeout_cancels_a_pending_generation_unsent(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    await running.submit(soul("the first"))
    request = soul("the second", wait_for=pb.WAIT_FOR_STORED)
    request.start_timeout.FromMilliseconds(200)
    generation = await running.submit(request)
    ended = await running.until(generation.id, "CANCELED")
    assert ended.failure.reason == error_pb2.ERROR_REASON_START_TIMEOUT_EXCEEDED
    assert not ended.HasField("accept_time")
    assert [one.prompt for one in running.ledger.submissions] == ["the first"]
    assert (await submit(running.grpc, request)).replayed


@pytest.mark.parametrize("probe", [False, True])
async def test_a_submission_that_was_not_sent_soon_after_its_marker_is_sent_later(
    start: Start, monkeypatch: pytest.MonkeyPatch, probe: bool
) -> None:
    """A gateway that wakes up after a pause must not send before it has stored another marker."""
    paused_for = [0.0]
    clock_from = partial(SystemClock, monotonic=lambda: since_boot() + paused_for[0])
    running = await start(clock_from=clock_from, UPSTREAM_CONCURRENCY=1)
    sender, steps = running.gateway._core.sender, list[str]()
    claim, save = sender._claims.claim, sender._generations.save

    async def claim_then_pause(wanted: Claim) -> Claimed:
        claimed = await claim(wanted)
        paused_for[0] += 0.0 if probe else SEND_TIMEOUT
        return claimed

    async def save_then_pause(before: Generation, after: Generation, step: str) -> bool:
        saved = await save(before, after, step)
        paused_for[0] += SEND_TIMEOUT if (steps, step) == (["postponed"], "marked") else 0.0
        steps.append(step)
        return saved

    monkeypatch.setattr(sender._claims, "claim", claim_then_pause)
    monkeypatch.setattr(sender._generations, "save", save_then_pause)
    if probe:
        running.plan(on="submit", kind="429", headers={"Retry-After": "0"})
    stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    await running.finish(stored.id)
    assert len(running.ledger.charges) == 1
    assert steps[:-1] == [*(["postponed", "marked"] if probe else []), "unsent", "marked", "accepted by submit"]


async def test_a_start_timeout_cancels_a_queued_generation_at_higgsfield(tmp_path: Path) -> None:
    async with run_timed(tmp_path, queue_seconds=1000.0) as timed:
        request = soul("a fox")
        request.start_timeout.FromSeconds(60)
        generation = await timed.submit(request)
        await timed.advance(100.0, until=lambda: bool(timed.ledger.refunds))
        ended = await timed.until(generation.id, "CANCELED")
        assert ended.failure.reason == error_pb2.ERROR_REASON_START_TIMEOUT_EXCEEDED
        assert ended.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_CANCEL
        assert len(timed.ledger.refunds) == 1


async def test_a_start_timeout_does_not_end_a_started_generation(tmp_path: Path) -> None:
    async with run_timed(tmp_path, image_seconds=1000.0) as timed:
        request = soul("a fox")
        request.start_timeout.FromSeconds(60)
        generation = await timed.submit(request)
        await timed.advance(100.0)
        assert name_of(await timed.get(generation.id)) == "IN_PROGRESS"
        assert timed.ledger.cancels == []


async def test_a_retry_after_of_no_seconds_is_no_loop(tmp_path: Path) -> None:
    async with run_timed(tmp_path) as timed:
        timed.plan(on="submit", kind="429", headers={"Retry-After": "0"}, times=10**6)
        waiting = await timed.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        await eventually(lambda: bool(timed.ledger.submissions))
        for _ in range(50):  # while no time passes
            assert name_of(await timed.get(waiting.id)) == "PENDING"
        assert len(timed.ledger.submissions) == 1
        await timed.advance(2 * MIN_PAUSE)
        assert len(timed.ledger.submissions) > 1


async def test_a_known_key_is_answered_while_higgsfield_is_saturated(running: Running) -> None:
    first = await running.submit(soul("a fox"))
    running.plan(on="submit", prompt="full", status=429, body={"detail": "full"}, headers={"Retry-After": "60"})
    full = await running.submit(soul("full", wait_for=pb.WAIT_FOR_STORED))
    async for generation in running.history(full.id):
        if generation.HasField("delay"):
            break
    again = await submit(running.grpc, soul("a fox", fail_when_saturated=True))
    assert again.replayed
    assert again.generation.id == first.id


async def test_a_submission_that_fails_when_saturated_does_not_say_that_it_waits(running: Running) -> None:
    running.plan(on="submit", status=429, body={"detail": "full"}, headers={"Retry-After": "60"})
    with pytest.raises(RpcFailure) as raised:
        await submit(running.grpc, soul("a fox", fail_when_saturated=True))
    ended = await running.get(raised.value.failure.metadata["generation_id"])
    assert (name_of(ended), ended.failure.message) == ("FAILED", "Higgsfield is full")


async def test_the_next_generation_is_sent_when_one_ends(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    first = await running.submit(soul("the first"))
    second = await running.submit(soul("the second", wait_for=pb.WAIT_FOR_STORED))
    assert (name_of(second), second.delay.reason) == ("PENDING", error_pb2.ERROR_REASON_UPSTREAM_SATURATED)
    await running.finish(first.id)
    moved = await running.until(second.id, "QUEUED")
    assert not moved.HasField("delay")
