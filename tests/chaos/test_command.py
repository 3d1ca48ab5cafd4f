"""`python -m chaos run`: the storms that it derives from its options."""

import re
import shlex
from pathlib import Path

import pytest

from chaos.__main__ import _parser, main, plans
from chaos.run import Plan

ROOT = Path(__file__).parents[2]


def asked(*arguments: str) -> list[Plan]:
    return plans(_parser().parse_args(["run", *arguments]))


def of_make(target: str) -> list[str]:
    """Return the arguments that a target of the Makefile passes to the command."""
    found = re.search(rf"^{target}: .*\n\t.* -m chaos run (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None
    return shlex.split(found[1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("target", ["chaos", "soak"])
def test_every_run_by_make_covers_webhooks_and_their_absence(target: str, seed: int) -> None:
    assert {plan.webhooks for plan in asked(*of_make(target), f"--seed={seed}")} == {True, False}


@pytest.mark.parametrize("seed", range(5))
def test_four_storms_cover_every_combination_of_options(seed: int) -> None:
    storms = asked("--storms=4", f"--seed={seed}")
    assert {(plan.webhooks, plan.keyless) for plan in storms} == {(a, b) for a in (True, False) for b in (True, False)}
    assert [plan.seed for plan in storms] == [seed, seed + 1, seed + 2, seed + 3]


@pytest.mark.parametrize("seed", range(4))
def test_explicit_options_hold_for_every_seed(seed: int) -> None:
    (wanted,) = asked("--webhooks", "--keyless", f"--seed={seed}")
    (unwanted,) = asked("--no-webhooks", "--no-keyless", f"--seed={seed}")
    assert (wanted.webhooks, wanted.keyless) == (True, True)
    assert (unwanted.webhooks, unwanted.keyless) == (False, False)


@pytest.mark.parametrize("arguments", [["--storms=0"], ["--storms=2", "--history=one.jsonl"]])
def test_contradictory_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", *arguments])
    assert ended.value.code == 2
    assert "storm" in capsys.readouterr().err
