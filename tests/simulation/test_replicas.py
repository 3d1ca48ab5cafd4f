"""Several replicas on one database violate no invariant in the first seeds, and each mutation is found.

Without the mutation, the seed that finds it is clean. A seed replays exactly.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

from tests.simulation.command import REPLAY_REPLICAS, failures
from tests.simulation.mutations import Mutation
from tests.simulation.postgres import real_server
from tests.simulation.replica_mutations import REPLICA_MUTATIONS
from tests.simulation.run_replicas import plan, simulate

pytestmark = pytest.mark.toolchain("postgres")
ROOT = Path(__file__).parents[2]
SEEDS, CHUNK = 6, 3
MAX_SEEDS = 8
"""The number of seeds that are tried for a mutation."""
REPLAYED = (11, 15)
PRINT = """
import sys
from tests.simulation.run_replicas import simulate
print(*(simulate(int(seed)).fingerprint for seed in sys.argv[1:]))
"""


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with real_server():
        yield


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_violates_an_invariant(first: int) -> None:
    failed = [
        f"{REPLAY_REPLICAS} {one.seed}: {text}"
        for one in failures(range(first, first + CHUNK), simulate)
        for text in one.violations
    ]
    assert not failed, "\n".join(failed)


def test_a_seed_replays_exactly_in_every_process() -> None:
    fingerprints = []
    for hash_seed, order in (("1", REPLAYED), ("2", REPLAYED[::-1])):
        command_line = [sys.executable, "-c", PRINT, *map(str, order)]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            command_line, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=100
        )
        fingerprints.append(dict(zip(order, done.stdout.split(), strict=True)))
    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints[0].values())) == len(REPLAYED)


@pytest.mark.parametrize("mutation", REPLICA_MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_simulation_finds_the_mutation(mutation: Mutation) -> None:
    for seed in range(mutation.first_seed, mutation.first_seed + MAX_SEEDS):
        planned = plan(seed)
        mutation.focus(planned)
        with mutation.patch():
            found = [text for text in simulate(seed, deepcopy(planned)).violations if mutation.symptom in text]
        if found:
            assert not simulate(seed, planned).violations
            return
    pytest.fail(f"{mutation.name} was not found")
