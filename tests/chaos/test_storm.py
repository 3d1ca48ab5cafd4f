"""Real storms find each mistake that is built into a gateway, and no violation in the real gateway."""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from chaos.report import figures
from chaos.run import Plan, run
from gateway.failpoints import PLACES
from harness.checker import check
from harness.history import Line, read
from harness.restarts import FAILPOINTS
from tests.chaos.mistaken import MISTAKES
from tests.support import forked

ENOUGH = 12
"""Seconds of calm after which the POSTs of a dead process have ended and the gateway knows it."""

STORMS = 6
"""Storms for one mistake, each longer than the one before: on a slow machine less happens in the same time."""

HAPPENS = ("faults", "starts", "charges", "connections cut", "messages")


@dataclass(frozen=True)
class Case:
    """The invariant that finds a mistake, and its storm: a seed whose first starts trigger the mistake."""

    invariant: str
    seed: int = 12
    seconds: float = 2.0
    settle: float = 0.5
    linger: float = 0.5
    webhooks: bool = False
    keyless: bool = False


CASES = {
    # Killed by the failpoint "after submit call", its second start leaves a POST that was charged.
    "forgets_open_attempts_after_a_crash": Case(
        "charged_once", seed=322, seconds=6.0, settle=ENOUGH, linger=5.0, keyless=True
    ),
    "retries_under_a_fresh_key": Case("charged_once", seed=1),
    "accepts_a_key_twice": Case("one_generation_for_a_key"),
    "treats_a_poll_error_as_a_failure": Case("ends_are_true", seed=3),
    "trusts_unsigned_webhooks": Case("ends_are_true", webhooks=True),
    "watches_from_memory_alone": Case("watches_have_no_gap"),
}


async def storm(plan: Plan, folder: Path) -> list[Line]:
    await run(plan, folder / "history.jsonl")
    return read(folder / "history.jsonl")


async def invariants_broken_by(mistake: str, folder: Path) -> set[str]:
    """Return the invariants broken in the first storm that finds the mistake, or else in the last storm."""
    broken: set[str] = set()
    for number in range(STORMS):
        broken = await _broken_in_one(mistake, folder / str(number), number)
        if CASES[mistake].invariant in broken:
            break
    return broken


async def _broken_in_one(mistake: str, folder: Path, number: int) -> set[str]:
    case = CASES[mistake]
    folder.mkdir(parents=True)
    plan = Plan(
        seconds=case.seconds * (1 + number),
        submissions=150,
        seed=case.seed,
        webhooks=case.webhooks,
        keyless=case.keyless,
        settle=case.settle,
        linger=case.linger,
        starter=partial(forked.serve, mistake=mistake),
    )
    return {violation.invariant for violation in check(await storm(plan, folder))}


def test_every_seeded_mistake_has_a_storm() -> None:
    assert set(CASES) == set(MISTAKES)


def test_the_failpoints_of_a_storm_exist() -> None:
    assert set(FAILPOINTS) < PLACES


@pytest.mark.timeout(1200)  # enough for all storms on a machine that starts a gateway slowly
@pytest.mark.parametrize("mistake", CASES)
async def test_storms_find_every_seeded_mistake(tmp_path: Path, mistake: str) -> None:
    assert CASES[mistake].invariant in await invariants_broken_by(mistake, tmp_path)


async def test_storms_find_no_violation_in_the_gateway(tmp_path: Path) -> None:
    plans = [
        Plan(seconds=5, submissions=100, seed=5, settle=ENOUGH, starter=forked.serve),
        Plan(seconds=5, submissions=100, seed=30, keyless=True, settle=ENOUGH, starter=forked.serve),
    ]
    async with asyncio.TaskGroup() as together:
        tasks = [together.create_task(storm(plan, tmp_path / str(plan.seed))) for plan in plans]
    histories = [task.result() for task in tasks]
    for lines in histories:
        assert [str(violation) for violation in check(lines)] == []
    counts = [figures(lines) for lines in histories]
    # A storm without violations proves something only if faults, starts and charges happened in it.
    happened = {name: sum(one[name] for one in counts) for name in HAPPENS}
    assert all(happened.values()), happened
