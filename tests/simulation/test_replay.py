"""A seed determines a run completely, and the command can replay it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation import command
from tests.simulation.run import THEMES, plan, simulate

ROOT = Path(__file__).parents[2]
SEEDS = range(900, 912)
PRINT = """
import sys
from tests.simulation.run import simulate
print(*(simulate(int(seed)).fingerprint for seed in sys.argv[1:]))
"""


def test_a_seed_replays_exactly_in_every_process() -> None:
    fingerprints = []
    for hash_seed, order in (("1", list(SEEDS)), ("2", list(reversed(SEEDS)))):
        command_line = [sys.executable, "-c", PRINT, *map(str, order)]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            command_line, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=100
        )
        fingerprints.append(dict(zip(order, done.stdout.split(), strict=True)))
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints[0].values())) == len(SEEDS)


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
