"""Faults of calls, chosen by a plan, by a word in the prompt, or at random."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gateway.sandbox.faults import Fault, FaultPlan, RandomFaults
from gateway.sandbox.options import FAULT_KINDS, SandboxOptions


async def test_planned_faults_hit_the_calls_they_name_in_order(api: Any) -> None:
    request_id = await api.submitted("fox")
    await api.plan(on="status", kind="500", times=2)
    await api.plan(on="status", kind="503")
    await api.plan(on="cancel", kind="502", processed=True)
    await api.plan(on="estimate", kind="504")
    await api.plan(on="models", kind="429")

    assert (await api.submit()).status == 200
    assert [(await api.status(request_id)).status for _ in range(4)] == [500, 500, 503, 200]
    assert (await api.cancel(request_id)).status == 502
    assert (await api.status(request_id)).json["status"] == "canceled"
    assert (await api.call("POST", "/estimate/z-image/turbo", json={"prompt": "x"})).status == 504
    assert (await api.call("GET", "/models")).status == 429
    assert (await api.delete(request_id)).status == 200


async def test_a_fault_can_be_limited_to_a_prompt(api: Any) -> None:
    await api.plan(on="any", kind="500", prompt="wolf", times=2)
    fox = await api.submitted("fox")
    assert (await api.submit("wolf")).status == 500
    wolf_later = await api.submit("wolf")
    assert wolf_later.status == 500
    wolf = await api.submitted("wolf")
    await api.plan(on="status", kind="503", prompt="wolf")
    assert (await api.status(fox)).status == 200
    assert (await api.status(wolf)).status == 503


def test_faults_apply_in_the_order_of_planning() -> None:
    plan = FaultPlan()
    kinds = [(None, "500"), ("fox", "501"), ("wolf", "502"), (None, "503"), ("fox", "504"), ("fox", "505")]
    plan.add([Fault(on="submit", kind=kind, prompt=prompt, times=2) for prompt, kind in kinds])
    plan.add([Fault(on="status", kind="506", prompt="fox")])

    def next_kind(prompt: str | None) -> str:
        fault = plan.take("submit", prompt)
        return fault.kind if fault else ""

    assert [next_kind("fox") for _ in range(4)] == ["500", "500", "501", "501"]
    assert [next_kind("wolf") for _ in range(3)] == ["502", "502", "503"]
    assert [next_kind(None), next_kind(None)] == ["503", ""]
    assert [next_kind("fox") for _ in range(5)] == ["504", "504", "505", "505", ""]
    assert len(plan) == 1


async def test_a_plan_can_be_cleared(api: Any) -> None:
    await api.plan(on="submit", kind="500", times=9)
    assert (await api.call("DELETE", "/__plan")).json == {"pending": 0}
    assert (await api.submit()).status == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "sneeze"}, {"on": "sumbit", "kind": "500"}, {"kind": "500", "oftn": 2}, {"kind": "99"},
        {"kind": "5000"}, {"kind": "500", "times": "2"}, {"kind": "500", "times": 0}, {"kind": "500", "delay": "1"},
        {"kind": "500", "headers": ["a"]}, {"status": 99}, {"patch": ["a"]}, {"kind": "500", "prompt": {}},
        {"on": "webhook", "kind": "lose", "times": 0.5}, {"kind": "500", "times": True}, {"status": 404.0},
        {"kind": "500", "headers": {"Retry-After": 1}}, {"kind": "500", "delay": True}, {"kind": "500", "delay": -1},
        {"kind": "500", "delay": math.inf}, {"patch": {}, "kind": "502"}, {"patch": {}, "status": 404},
        {"patch": {}, "body": {}}, {"on": "webhook", "patch": {}, "body": {}}, {"on": "motions", "patch": {"id": "x"}},
        {"on": "webhook", "kind": "early", "patch": {"status": "failed"}}, {"kind": "html", "body": "<p>"},
        {"kind": "drip", "body": {}}, {"kind": "half", "status": 502}, {"kind": "lost", "headers": {}},
    ],
)  # fmt: skip
async def test_an_invalid_fault_rejects_the_whole_plan(api: Any, fault: dict[str, Any]) -> None:
    answer = await api.call("POST", "/__plan", json={"faults": [{"on": "submit", "kind": "500"}, fault]})
    assert answer.status == 400
    assert (await api.submit()).status == 200


async def test_a_patch_of_any_response_waits_for_one_that_is_an_object(api: Any) -> None:
    await api.plan(patch={"items": []})
    assert [style["name"] for style in (await api.call("GET", "/v1/text2image/soul-styles")).json]
    assert (await api.call("GET", "/models")).json == {"items": []}


async def test_a_status_word_in_the_prompt_fails_the_submission_uncharged(api: Any) -> None:
    for _ in range(2):
        assert (await api.submit("[http=503] fox", key="k")).status == 503
    assert (await api.ledger())["charge_count"] == 0


async def test_the_ledger_is_exact_under_random_faults(start: Any) -> None:
    api = await start(fail={"500": 0.3, "429": 0.3}, seed=7, credits=1000, concurrency_limit=1000)
    answers = [await api.submit(f"fox {number}") for number in range(60)]

    statuses = {answer.status for answer in answers}
    assert statuses == {200, 500, 429}
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status == 429)
    submissions = (await api.ledger())["submissions"]
    assert [one["outcome"] for one in submissions] == [str(answer.status) for answer in answers]
    acted_on_500 = {one["processed"] for one in submissions if one["outcome"] == "500"}
    assert acted_on_500 == {True, False}
    assert not any(one["processed"] for one in submissions if one["outcome"] == "429")
    assert (await api.ledger())["charge_count"] == sum(one["processed"] for one in submissions)


@pytest.mark.parametrize("kind", ["failed", "nsfw"])
async def test_generations_can_fail_at_random(start: Any, kind: str) -> None:
    api = await start(fail={kind: 1.0})
    request_id = await api.submitted()
    api.clock.advance(5)
    assert (await api.status(request_id)).json["status"] == kind


def test_the_same_seed_gives_the_same_faults() -> None:
    def draws(seed: int) -> list[Fault | None]:
        chance = RandomFaults({"500": 0.2, "reset": 0.2, "lost": 0.2}, seed)
        return [chance.fault("submit") for _ in range(50)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


def test_random_faults_draw_every_kind_and_lose_only_submissions() -> None:
    answers = [kind for kind in FAULT_KINDS if kind not in ("failed", "nsfw")]
    for kind in answers:
        fault = RandomFaults({kind: 1.0}, seed=0).fault("submit")
        assert fault is not None
        assert Fault.parse({"kind": kind}).kind == fault.kind == kind
    assert RandomFaults({"lost": 1.0}, seed=0).fault("status") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"fail": {"sneeze": 0.1}},
        {"fail": {"500": 0.6, "502": 0.6}},
        {"fail": {"500": -0.1}},
        {"fail": {"500": math.nan}},
        {"time_scale": 0},
        {"time_scale": math.nan},
        {"concurrency_mode": "none"},
        {"credentials": "nocolon"},
        {"credentials": ""},
    ],
)
def test_invalid_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        SandboxOptions(**wrong)


def test_a_plan_counts_its_pending_faults() -> None:
    plan = FaultPlan()
    plan.add([Fault(on="submit", times=2), Fault(on="status")])
    assert plan.take("submit", None) is not None
    assert len(plan) == 2


@pytest.mark.parametrize(("method", "path"), [("POST", "/__plans"), ("GET", "/__nothing/here"), ("PUT", "/__plan")])
async def test_an_unknown_path_of_the_sandbox_is_not_a_model(api: Any, method: str, path: str) -> None:
    answer = await api.call(method, path, json={})
    assert (answer.status, answer.json) == (404, {"detail": f"{method} {path} is not known"})
