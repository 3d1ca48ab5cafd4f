"""The simulation finds each mutation within MAX_SEEDS seeds. Without the mutation, the seed that finds it is clean."""

from __future__ import annotations

from copy import deepcopy

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.plans import plan
from tests.simulation.run import simulate

MAX_SEEDS = 60
"""The number of seeds that are tried for a mutation."""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_simulation_finds_the_mutation(mutation: Mutation) -> None:
    tried = 0
    for seed in range(mutation.first_seed, mutation.first_seed + 20_000):
        planned = plan(seed)
        if mutation.themes and planned.theme not in mutation.themes:
            continue
        mutation.focus(planned)
        tried += 1
        assert tried <= MAX_SEEDS, f"{mutation.name} was not found"
        with mutation.patch():
            found = [text for text in simulate(seed, deepcopy(planned)).violations if mutation.symptom in text]
        if found:
            assert not simulate(seed, planned).violations
            return
