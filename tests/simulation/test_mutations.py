"""The simulation finds each mutation within MAX_SEEDS seeds. Without the mutation, the seed that finds it is clean."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.run import plan, simulate

MAX_SEEDS = 60
"""The number of seeds that are tried for a mutation."""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_simulation_finds_the_mutation(mutation: Mutation) -> None:
    tried = 0
    for seed in range(mutation.first_seed, mutation.first_seed + 20_000):
        if mutation.themes and plan(seed).theme not in mutation.themes:
            continue
        tried += 1
        assert tried <= MAX_SEEDS, f"{mutation.name} was not found"
        with mutation.patch():
            found = [text for text in simulate(seed).violations if mutation.symptom in text]
        if found:
            assert not simulate(seed).violations
            return
