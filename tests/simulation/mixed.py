"""Mixed plans: each has the faults with which two of the mutations are found, and may show other defects."""

from __future__ import annotations

from dataclasses import replace

from tests.simulation import run
from tests.simulation.mutations import MUTATIONS
from tests.simulation.plans import Draws, Plan, plan
from tests.simulation.run import Report
from tests.simulation.world import DAY

FOCUSES = tuple(dict.fromkeys(mutation.focus for mutation in MUTATIONS))


def mixed_plan(seed: int) -> Plan:
    """Return the plan of a seed, changed for two mutations."""
    planned = plan(seed)
    for focus in Draws(f"mixed {seed}").sample(FOCUSES, 2):
        focus(planned)
    if planned.accounts:
        planned.talkers = 0  # a session belongs to one account, and an operator may assign another one to its tenant
    if planned.restores:  # a restored copy has budgets and keys of before
        planned.changes_budgets = planned.uses_keys = False
    if planned.archive:  # otherwise the record of a copy may end before the run
        planned.settings = replace(planned.settings, retention=30 * DAY)
    return planned


def simulate(seed: int, *, keep_trace: bool = False) -> Report:
    """Run one seed with its mixed plan, and check the result."""
    return run.simulate(seed, mixed_plan(seed), keep_trace=keep_trace)
