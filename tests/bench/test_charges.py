"""The benchmark of charges: it runs, it distinguishes bad clients from good ones, and a broken promise fails it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench import __main__ as command
from bench import charges
from bench.charges import gateway, promises
from bench.charges.account import COLUMNS, Row, outcomes_from_history, row, table
from bench.charges.callers import CallerOutcome
from bench.charges.faults import KINDS, MAX_FAULTY_POSTS, PROBABILITY, Submission, kinds, plan, submissions
from bench.charges.through_gateway import SETTINGS, Conditions
from bench.figures import Figure, at_most, promised, value
from bench.load import QUICK
from gateway.sandbox.faults import Fault, FaultPlan
from harness.faults import AMBIGUOUS
from harness.history import Line
from tests.support import forked

ROOT = Path(__file__).parents[2]
KEYS, WEBHOOKS, NEITHER = SETTINGS
SEED = 20_261_120


def _missed(figures: list[Figure]) -> list[str]:
    return [figure.name.rpartition(": ")[2] for figure in figures if not figure.met]


@pytest.mark.toolchain("node")
@pytest.mark.timeout(600)  # usually ten seconds; a busy machine starts its dozen processes slowly
async def test_the_gateway_charges_once_when_both_sdks_charge_again() -> None:
    found = await charges.run(replace(QUICK, seed=SEED), forked.serve)
    assert _missed(found) == []
    figures = {figure.name: figure for figure in found}
    for setting in SETTINGS:
        most = figures[f"{setting.name}: most charges for a submission"]
        assert most.ours == 1
        assert most.baseline is not None
        assert most.baseline > 1  # the better SDK's value, so both SDKs were charged more than once
        unreported = figures[f"{setting.name}: charged, but not reported"].baseline
        assert unreported is not None
        assert unreported > 0
        assert figures[f"{setting.name}: neither ended nor UNCERTAIN"].ours == 0
        assert figures[f"{setting.name}: kills"].ours > 0


async def test_retrying_under_a_fresh_key_misses_the_promise(tmp_path: Path) -> None:
    conditions = Conditions(
        SEED, patience=1.0, spread=0.5, lives=(1.0, 1.0), kills=0, linger=0.0, settle=0.0, turns=asyncio.Semaphore(1),
        starter=partial(forked.serve, mistake="retries_under_a_fresh_key"),
    )  # fmt: skip
    found, history = await gateway(NEITHER, submissions(40, SEED), conditions, tmp_path)
    assert found.most > 1
    assert {"most charges for a submission", "charged more than once", "violations found by the checker"} <= {
        *_missed(promises(NEITHER, found, history, [], settled=False))
    }


def test_the_faults_of_a_submission_depend_on_the_seed_and_its_number() -> None:
    assert submissions(300, 5)[:100] == submissions(100, 5)
    assert submissions(100, 5) != submissions(100, 6)
    assert len({one.prompt for one in submissions(300, 5)}) == 300


def test_faults_have_their_probability_and_include_every_kind() -> None:
    wanted = submissions(5000, 5)
    spoiled = [fault for one in wanted for fault in one.faults if fault]
    assert len(spoiled) / (len(wanted) * MAX_FAULTY_POSTS) == pytest.approx(PROBABILITY, abs=0.02)
    assert {fault.kind for fault in spoiled} == set(KINDS) == set(AMBIGUOUS) - {"drip"}
    both_ways = {(fault.kind, fault.processed) for fault in spoiled}
    assert {("502", True), ("502", False), ("lost", True), ("hang", True), ("hang", False)} <= both_ways
    assert kinds(wanted).total() == len(spoiled)


def test_the_plan_gives_each_post_its_own_fault() -> None:
    bad = Fault(on="submit", kind="502", processed=True, prompt="second")
    wanted = [
        Submission("clean", (None, None)),
        Submission("first", (Fault(on="submit", kind="lost", processed=True, prompt="first"), None)),
        Submission("second", (None, bad)),
    ]
    planned = FaultPlan()
    planned.add([Fault.parse(entry) for entry in plan(wanted)])
    assert planned.take("submit", "clean") is None
    first, none_more = planned.take("submit", "first"), planned.take("submit", "first")
    assert (first and first.kind, none_more) == ("lost", None)
    unspoiled, spoiled = planned.take("submit", "second"), planned.take("submit", "second")
    assert unspoiled is not None
    assert (unspoiled.kind, unspoiled.status, unspoiled.body, unspoiled.processed) == ("", None, None, True)
    assert spoiled == bad
    assert len(planned) == 0


PROMPTS = (
    "once", "thrice", "moderated", "in doubt and paid", "in doubt for free", "error but paid", "error", "given back",
    "silence", "running",
)  # fmt: skip
CALLER_OUTCOMES = {
    "once": CallerOutcome("completed", "r1"),
    "thrice": CallerOutcome("completed", "r2"),
    "moderated": CallerOutcome("nsfw", "r5"),
    "in doubt and paid": CallerOutcome("uncertain"),
    "in doubt for free": CallerOutcome("uncertain"),
    "error but paid": CallerOutcome(error="ReadTimeout"),
    "error": CallerOutcome(error="ReadTimeout"),
    "given back": CallerOutcome(error="ReadTimeout"),
    "running": CallerOutcome("queued", "r9"),
}


def ledger(charges: dict[str, str], refunds: tuple[str, ...] = (), posts: int = 0) -> dict[str, Any]:
    return {
        "submissions": [{}] * posts,
        "charges": [{"request_id": request, "prompt": prompt} for request, prompt in charges.items()],
        "refunds": [{"request_id": request} for request in refunds],
    }


def test_every_submission_is_counted_in_its_column() -> None:
    charged = {
        "r1": "once", "r2": "thrice", "r3": "thrice", "r4": "thrice", "r5": "moderated", "r6": "in doubt and paid",
        "r7": "error but paid", "r8": "given back", "r9": "running",
    }  # fmt: skip
    wanted = [Submission(prompt, ()) for prompt in PROMPTS]
    found = row("client", wanted, CALLER_OUTCOMES, ledger(charged, ("r5", "r8"), posts=12))
    assert found == Row(
        "client", submissions=10, posts=12, charges=9, most=3, more_than_once=1, completed=2, given_back=1,
        uncertain_charged=1, uncertain_free=1, error_charged=1, error_free=2, neither=2, unknown_charges=3,
    )  # fmt: skip
    shown = table([found]).splitlines()
    assert [line.split("|")[1].strip() for line in shown if not line.startswith("|-")] == list(COLUMNS)
    assert [line.split("|")[2].strip() for line in shown if not line.startswith("|-")] == [*map(str, astuple(found))]


def test_ends_that_the_ledger_contradicts_are_not_counted_as_ends() -> None:
    outcomes = {"a": CallerOutcome("completed", "r1"), "b": CallerOutcome("failed", "")}
    found = row("client", [Submission("a", ()), Submission("b", ())], outcomes, ledger({"r2": "b"}))
    assert (found.completed, found.given_back, found.neither, found.error_charged) == (0, 0, 1, 1)


def test_caller_outcomes_are_read_from_the_final_states() -> None:
    lines = [
        Line(1, 0.0, "submit", {"call": 1, "key": "k", "prompt": "fox"}),
        Line(2, 0.0, "submit", {"call": 2, "key": "never stored", "prompt": "wolf"}),
        Line(3, 0.0, "final", {"key": "k", "state": "UNCERTAIN", "request": ""}),
    ]
    assert outcomes_from_history(lines) == {"fox": CallerOutcome("uncertain", "")}


FAULTLESS = Row(
    "x", submissions=2, posts=2, charges=2, most=1, more_than_once=0, completed=2, given_back=0, uncertain_charged=0,
    uncertain_free=0, error_charged=0, error_free=0, neither=0, unknown_charges=0,
)  # fmt: skip
OVER = [Line(1, 0.0, "over", {})]


def missed(setting: Any, *, settled: bool = True, history: list[Line] = OVER, **changes: Any) -> list[str]:
    return _missed(promises(setting, replace(FAULTLESS, **changes), history, [], settled=settled))


def test_the_better_sdk_is_the_baseline() -> None:
    sdks = [replace(FAULTLESS, most=3, unknown_charges=5), replace(FAULTLESS, most=2, unknown_charges=7)]
    figures = {figure.name: figure for figure in promises(KEYS, FAULTLESS, OVER, sdks, settled=True)}
    assert figures[f"{KEYS.name}: most charges for a submission"].baseline == 2
    assert figures[f"{KEYS.name}: charged, but not reported"].baseline == 5
    assert figures[f"{KEYS.name}: left UNCERTAIN"].baseline is None


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.file)
@pytest.mark.parametrize(
    ("changes", "promise"),
    [
        ({"most": 2}, "most charges for a submission"),
        ({"more_than_once": 1}, "charged more than once"),
        ({"unknown_charges": 1}, "charged, but not reported"),
        ({"neither": 1}, "neither ended nor UNCERTAIN"),
        ({"error_charged": 1}, "charged, but reported as an error"),
        ({"history": []}, "violations found by the checker"),
    ],
)
def test_a_broken_promise_is_reported_in_every_setting(setting: Any, changes: dict[str, Any], promise: str) -> None:
    assert missed(setting) == []
    assert missed(setting, settled=False, **changes) == [promise]


def test_uncertain_generations_may_remain_only_if_nothing_can_resolve_them() -> None:
    assert missed(KEYS, uncertain_charged=1) == ["left UNCERTAIN"]
    assert missed(KEYS, uncertain_free=1) == ["left UNCERTAIN"]
    assert missed(KEYS, uncertain_charged=1, settled=False) == []
    assert missed(WEBHOOKS, uncertain_charged=1) == ["left UNCERTAIN, and charged"]
    assert missed(WEBHOOKS, uncertain_free=1) == []
    assert missed(NEITHER, uncertain_charged=1, uncertain_free=1) == []


@pytest.mark.parametrize(
    ("figure", "quick", "full"),
    [
        (value("a promise that holds", "x", 0, promised(0)), 0, 0),
        (value("a promise that is broken", "x", 1, promised(0)), 1, 1),
        (value("a goal that is missed", "x", 1, at_most(0)), 0, 1),
        (value("a value for the record", "x", 1), 0, 0),
    ],
    ids=lambda part: part.name if isinstance(part, Figure) else str(part),
)
def test_a_broken_promise_fails_quick_and_full_runs(
    figure: Figure, quick: int, full: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    efforts = []

    async def measured(effort: Any) -> list[Figure]:
        efforts.append(effort)
        return [figure]

    monkeypatch.setitem(command.BENCHMARKS, "charges", measured)
    found = tmp_path / "figures.json"
    assert command.main(["charges", "--quick", "--submissions=7", "--seed=3", f"--json={found}"]) == quick
    (reported,) = json.loads(found.read_text())["benchmarks"]["charges"]
    assert (reported["name"], reported["met"]) == (figure.name, figure.met)
    assert command.main(["charges"]) == full
    assert [(effort.submissions, effort.seed) for effort in efforts] == [(7, 3), (10_000, SEED)]
    assert Counter(effort.settle > 0 for effort in efforts) == {True: 1, False: 1}
