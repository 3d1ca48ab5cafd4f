"""The gateway as it is keeps its promises in every seed."""

from __future__ import annotations

import pytest

from tests.simulation.command import REPLAY, failures

SEEDS, AT_ONCE = 200, 50


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_no_seed_breaks_a_promise(first: int) -> None:
    failed = [
        f"{REPLAY} {one.seed}: {text}" for one in failures(range(first, first + AT_ONCE)) for text in one.violations
    ]
    assert not failed, "\n".join(failed)
