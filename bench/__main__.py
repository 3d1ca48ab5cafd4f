"""`python -m bench [name ...] [--quick] [--json FILE]`: run benchmarks; fails if a goal is missed.

`--submissions` and `--seed` apply to `charges` only.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import (
    attack,
    audit,
    budgets,
    charges,
    company,
    crowd,
    follow,
    get,
    goodput,
    polls,
    postgresql,
    processes,
    restart,
    retention,
    scale,
    start,
    submit,
    traces,
    translation,
    upload,
    watch,
    webhooks,
)
from bench.figures import Figure, table
from bench.load import FULL, QUICK, Effort

BENCHMARKS: dict[str, Callable[[Effort], Awaitable[list[Figure]]]] = {
    "get": get.run,
    "submit": submit.run,
    "watch": watch.run,
    "crowd": crowd.run,
    "restart": restart.run,
    "start": start.run,
    "goodput": goodput.run,
    "polls": polls.run,
    "follow": follow.run,
    "charges": charges.run,
    "webhooks": webhooks.run,
    "upload": upload.run,
    "attack": attack.run,
    "translation": translation.run,
    "postgresql": postgresql.run,
    "traces": traces.run,
    "audit": audit.run,
    "budgets": budgets.run,
    "company": company.run,
    "retention": retention.run,
    "scale": scale.run,
}
TIME_LIMITS = {
    "budgets": 3600.0,
    "charges": 2400.0,
    "company": 900.0,
    "crowd": 900.0,
    "goodput": 1800.0,
    "postgresql": 900.0,
    "retention": 900.0,
    "scale": 600.0,
}
DEFAULT_TIME_LIMIT = 300.0
"""The time limit of a benchmark in seconds, if TIME_LIMITS has none."""


def main(arguments: list[str] | None = None) -> int:
    """Run the named benchmarks, or all. Returns 1 if a full run misses a goal, or any run breaks a promise."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="check that everything runs; the figures mean nothing")
    parser.add_argument("--busy", action="store_true", help="keep one core busy while measuring")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--submissions", type=int, metavar="N", help="`charges`: submissions of each client")
    parser.add_argument("--seed", type=int, help="`charges`: random seed of the faults and kills")
    given = parser.parse_args(arguments)
    for name in given.names:
        if name not in BENCHMARKS:
            parser.error(f"unknown benchmark {name!r}: choose from {', '.join(BENCHMARKS)}")
    chosen = {name: number for name in ("submissions", "seed") if (number := getattr(given, name)) is not None}
    effort = dataclasses.replace(QUICK if given.quick else FULL, **chosen)
    found = asyncio.run(_measure(given.names or list(BENCHMARKS), effort, busy=given.busy))
    if given.json:
        given.json.write_text(json.dumps(_report(found, quick=given.quick), indent=2) + "\n")
    missed = [
        f"{figure.name}, {figure.unit}"
        for figures in found.values()
        for figure in figures
        if not figure.met and (not given.quick or figure.goal.promise)
    ]
    if missed or not given.quick:
        print(f"\n{len(missed)} goals missed: {'; '.join(missed)}" if missed else "\nevery goal met")
    return 1 if missed else 0


async def _measure(names: list[str], effort: Effort, *, busy: bool) -> dict[str, list[Figure]]:
    found = {}
    async with contextlib.AsyncExitStack() as stack:
        if busy:
            await stack.enter_async_context(processes.spawned(processes.BUSY, {}))
        for name in names:
            async with asyncio.timeout(TIME_LIMITS.get(name, DEFAULT_TIME_LIMIT)):
                found[name] = await BENCHMARKS[name](effort)
            print(f"\n{name}{' (busy)' if busy else ''}\n\n{table(found[name])}", flush=True)
    return found


def _report(found: dict[str, list[Figure]], *, quick: bool) -> dict[str, object]:
    return {
        "quick": quick,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "benchmarks": {name: [figure.as_json() for figure in figures] for name, figures in found.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
