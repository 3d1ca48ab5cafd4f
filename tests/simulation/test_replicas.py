"""Several replicas on one database violate no invariant in the first seeds, and each mutation is found.

Without the mutation, the seed that finds it is clean. A seed replays exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import pytest

from tests.simulation.command import REPLAY_REPLICAS, failures
from tests.simulation.mutations import Mutation
from tests.simulation.postgres import real_server
from tests.simulation.replay import assert_replays_exactly
from tests.simulation.replica_mutations import REPLICA_MUTATIONS
from tests.simulation.run_replicas import plan, simulate

pytestmark = pytest.mark.toolchain("postgres")
SEEDS, CHUNK = 6, 3
MAX_SEEDS = 8
"""The number of seeds that are tried for a mutation."""
REPLAYED = (8, 11)


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
    assert_replays_exactly("run_replicas", REPLAYED)


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
