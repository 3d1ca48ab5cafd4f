"""Runs seeds in other processes, to show that a seed determines a run completely."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from tests.simulation.{module} import simulate
print(*(simulate(int(seed)).fingerprint for seed in sys.argv[1:]))
"""


def assert_replays_exactly(module: str, seeds: Sequence[int]) -> None:
    """Run the seeds with a module of this package in two processes, in different orders and with other hash seeds.

    With these hash seeds, a set of both tenants has two orders.
    """
    fingerprints = []
    for hash_seed, order in (("0", seeds), ("1", seeds[::-1])):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(module=module), *map(str, order)],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        fingerprints.append(dict(zip(order, done.stdout.split(), strict=True)))
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints[0].values())) == len(seeds)
