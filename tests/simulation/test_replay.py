"""A seed determines a run completely, and the command can replay it."""

from __future__ import annotations

import pytest

from tests.simulation import command
from tests.simulation.plans import THEMES, plan
from tests.simulation.replay import assert_replays_exactly
from tests.simulation.run import simulate


def test_a_seed_replays_exactly_in_every_process() -> None:
    assert_replays_exactly("run", (63, 116, *range(900, 910)))


def test_keeping_the_trace_does_not_change_the_run() -> None:
    assert simulate(901, keep_trace=True).fingerprint == simulate(901).fingerprint


def test_every_theme_occurs() -> None:
    themes = {plan(seed).theme for seed in range(300)}
    assert themes == {"", *(theme.__name__.strip("_") for theme in THEMES)}


def test_the_command_runs_seeds_and_replays_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.seeds("3") == range(3)
    assert command.seeds("5-9") == range(5, 10)
    command.main(["--replay", "901"])
    printed = capsys.readouterr().out
    assert "1800000000.000000 start 1" in printed
    assert f"fingerprint {simulate(901).fingerprint}" in printed
