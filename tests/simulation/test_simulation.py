"""The gateway violates no invariant in the first seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation import mixed
from tests.simulation.command import REPLAY, REPLAY_MIXED, failures
from tests.simulation.gateway import Instance, SqliteServer
from tests.simulation.plans import plan
from tests.simulation.run import simulate

SEEDS, CHUNK = 200, 50
AUDITED = 50
"""The first seeds, which run with an audit log."""
MIXED = 30
"""The number of seeds with mixed plans."""


@pytest.mark.parametrize("first", range(AUDITED, SEEDS, CHUNK))
def test_no_seed_violates_an_invariant(first: int) -> None:
    failed = [
        f"{REPLAY} {one.seed}: {text}" for one in failures(range(first, first + CHUNK)) for text in one.violations
    ]
    assert not failed, "\n".join(failed)


def test_no_seed_with_a_mixed_plan_violates_an_invariant() -> None:
    failed = [
        f"{REPLAY_MIXED} {one.seed}: {text}"
        for one in failures(range(MIXED), mixed.simulate)
        for text in one.violations
    ]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("first", range(0, AUDITED, CHUNK))
def test_no_seed_with_an_audit_log_violates_an_invariant(first: int) -> None:
    for seed in range(first, first + CHUNK):
        planned = plan(seed)
        planned.settings = replace(planned.settings, audit="on")
        assert not simulate(seed, planned).violations, f"seed {seed}"


def test_a_defect_in_the_start_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(server: SqliteServer, instance: Instance) -> None:
        raise RuntimeError("defect")

    monkeypatch.setattr(SqliteServer, "open", fail)
    report = simulate(0)
    assert "internal defect: the start failed: RuntimeError: defect" in report.violations
    assert report.steps < 1000
