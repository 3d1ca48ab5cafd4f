"""Charges under faults: the gateway, which is killed again and again, compared with the official SDKs.

Five clients make the same submissions, each to its own sandbox with the same faults. The sandbox's ledger says what
they were charged. The goals are promises: they hold for runs of any size.
"""

import asyncio
import dataclasses
import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.charges.account import Row, outcomes_from_history, row, table
from bench.charges.callers import SDKS
from bench.charges.faults import MAX_FAULTY_POSTS, PROBABILITY, Submission, kinds, submissions
from bench.charges.sandbox import sandbox
from bench.charges.through_gateway import SETTINGS, Conditions, Setting, through_gateway
from bench.figures import Figure, Goal, at_most, promised, value
from bench.load import Effort
from harness.checker import SIGKILL_EXIT_CODE, check
from harness.gateway_process import GATEWAY, Starter
from harness.history import Line

FOLDER = Path(".cache/charges")
PER_SECOND = 400
"""The highest number of callers of the gateway that start in a second."""
MIN_SPREAD = 3.0
LIVES, SHORT_LIVES = (1.0, 15.0), (0.5, 3.0)
"""The shortest and the longest time between kills of the gateway in seconds, in a full and in a quick run."""
KILLS, FEW_KILLS = 20, 1
LINGER = 150.0


async def run(effort: Effort, starter: Starter = GATEWAY) -> list[Figure]:
    """Run the SDKs, then the gateway in all settings, and print a table of all. `starter` starts the gateways."""
    wanted = submissions(effort.submissions, effort.seed)
    folder = FOLDER / f"{effort.seed}-{os.getpid()}"
    conditions = Conditions(
        effort.seed,
        effort.patience,
        spread=max(MIN_SPREAD, effort.submissions / PER_SECOND),
        lives=LIVES if effort.settle else SHORT_LIVES,
        kills=KILLS if effort.settle else FEW_KILLS,
        linger=LINGER,
        settle=effort.settle,
        turns=asyncio.Semaphore(1 if effort.settle else len(SETTINGS)),
        starter=starter,
    )
    print(_described(wanted, effort), flush=True)
    began = time.monotonic()
    with_sdks = asyncio.gather(*(through_sdk(name, wanted, effort.patience) for name in _sdks()))
    if effort.settle:
        await with_sdks  # SDKs and gateways would slow each other down, except in a quick run, which mostly waits
    with_gateways = asyncio.gather(*(gateway(setting, wanted, conditions, folder) for setting in SETTINGS))
    sdks, gateways = await with_sdks, await with_gateways
    print(f"\n{table([*sdks, *(found for found, _ in gateways)])}", flush=True)
    print(f"\n{time.monotonic() - began:.0f} s in total", flush=True)
    figures = [
        figure
        for setting, (found, history) in zip(SETTINGS, gateways, strict=True)
        for figure in promises(setting, found, history, sdks, settled=effort.settle > 0)
    ]
    if all(figure.met for figure in figures):
        shutil.rmtree(folder)
    else:
        print(f"histories and logs: {folder}")
    return figures


async def through_sdk(name: str, wanted: Sequence[Submission], patience: float) -> Row:
    """Run an SDK against its own sandbox."""
    async with sandbox(wanted) as higgsfield:
        outcomes = await SDKS[name](higgsfield.url, wanted, patience)
        return row(name, wanted, outcomes, await higgsfield.ledger())


async def gateway(
    setting: Setting, wanted: Sequence[Submission], conditions: Conditions, folder: Path
) -> tuple[Row, list[Line]]:
    """Run the gateway in one setting against its own sandbox; returns its row and its history."""
    async with sandbox(wanted, honours_keys=setting.honours_keys) as higgsfield:
        history, ledger = await through_gateway(setting, higgsfield, wanted, conditions, folder)
    print(_lives(setting, history), flush=True)
    return row(setting.name, wanted, outcomes_from_history(history), ledger), history


def promises(
    setting: Setting, found: Row, history: Sequence[Line], sdks: Sequence[Row], *, settled: bool
) -> list[Figure]:
    """Return the figures of a setting with their goals; the baseline is the better one of the SDKs."""

    def beside(about: str, unit: str, field: str, goal: Goal) -> Figure:
        best = min((float(getattr(sdk, field)) for sdk in sdks), default=None)
        figure = value(f"{setting.name}: {about}", unit, getattr(found, field), goal)
        return dataclasses.replace(figure, baseline=best)

    def alone(about: str, unit: str, number: int, goal: Goal | None = None) -> Figure:
        return value(f"{setting.name}: {about}", unit, number, goal)

    violations = check(history)
    for violation in violations[:3]:
        print(violation)
    figures = [
        beside("most charges for a submission", "charges", "most", promised(1)),
        beside("charged more than once", "submissions", "more_than_once", promised(0)),
        beside("charged, but not reported", "charges", "unknown_charges", promised(0)),
        beside("charged, but reported as an error", "submissions", "error_charged", promised(0)),
        alone("neither ended nor UNCERTAIN", "submissions", found.neither, promised(0)),
        alone("violations found by the checker", "violations", len(violations), promised(0)),
        alone("kills", "kills", _kills(history)),
    ]
    if settled and setting.honours_keys:
        left = found.uncertain_charged + found.uncertain_free
        figures.append(alone("left UNCERTAIN", "submissions", left, at_most(0)))
    elif settled and setting.webhooks:
        figures.append(alone("left UNCERTAIN, and charged", "submissions", found.uncertain_charged, at_most(0)))
    return figures


def _sdks() -> list[str]:
    if shutil.which("node"):
        return list(SDKS)
    print("!!! SKIPPED: the JavaScript SDK: node is not installed", flush=True)
    return [name for name in SDKS if "JavaScript" not in name]


def _described(wanted: Sequence[Submission], effort: Effort) -> str:
    planned = kinds(wanted)
    return (
        f"charges: seed {effort.seed}, {len(wanted):,} submissions by each client, a fault with probability "
        f"{PROBABILITY} for each of their first {MAX_FAULTY_POSTS} POSTs, {effort.patience:g} s timeout for each call\n"
        f"{planned.total():,} faults: {', '.join(f'{number} {kind}' for kind, number in sorted(planned.items()))}"
    )


def _lives(setting: Setting, history: Sequence[Line]) -> str:
    count = Counter(line.what for line in history)
    return (
        f"{setting.name}: {_kills(history)} kills, {_kills(history) - count['kill']} of them at failpoints; "
        f"{count['submit']:,} submits, {count['submit failed']:,} of which failed and were retried"
    )


def _kills(history: Sequence[Line]) -> int:
    return sum(1 for line in history if line.what == "ended" and line["exit"] == SIGKILL_EXIT_CODE)
