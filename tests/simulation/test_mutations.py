"""Each defect that is put back is found by one of the first seeds that can show it, and by none without it."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.run import plan, simulate

MOST = 60
"""Seeds in which a defect has to show."""


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_simulation_finds_it(mutation: Mutation) -> None:
    tried = 0
    for seed in range(mutation.first, mutation.first + 20_000):
        if mutation.themes and plan(seed).theme not in mutation.themes:
            continue
        tried += 1
        assert tried <= MOST, f"{mutation.name} was not found"
        with mutation.patch():
            found = [text for text in simulate(seed).violations if mutation.words in text]
        if found:
            assert not simulate(seed).violations
            return
