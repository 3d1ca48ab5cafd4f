"""The gateway violates no invariant in the first seeds."""

from __future__ import annotations

import pytest

from tests.simulation.command import REPLAY, failures

SEEDS, CHUNK = 200, 50


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_violates_an_invariant(first: int) -> None:
    failed = [
        f"{REPLAY} {one.seed}: {text}" for one in failures(range(first, first + CHUNK)) for text in one.violations
    ]
    assert not failed, "\n".join(failed)
