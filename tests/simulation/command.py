"""The command behind `make simulate`: run many seeds on all cores, or replay one seed and print its trace."""

from __future__ import annotations

import argparse
import gc
import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial

from tests.simulation import mixed, run_replicas
from tests.simulation.postgres import real_server
from tests.simulation.run import Report, simulate

CHUNK = 20
"""Seeds that are passed to a worker process at a time."""
REPORT_INTERVAL = 30.0
"""Seconds between progress lines."""
REPLAY = "python -m tests.simulation --replay"
REPLAY_MIXED = "python -m tests.simulation --mixed --replay"
REPLAY_REPLICAS = "python -m tests.simulation --replicas --replay"


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit code: 1 if a seed failed, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", nargs="?", default="1000", help="how many seeds from 0 on, or FIRST-LAST")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run one seed and print everything that happened")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--mixed", action="store_true", help="with the faults of two mutations in each run")
    kind.add_argument("--replicas", action="store_true", help="several replicas on PostgreSQL, not one on SQLite")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    chosen, replay = simulate, REPLAY
    if given.mixed:
        chosen, replay = mixed.simulate, REPLAY_MIXED
    elif given.replicas:
        chosen, replay = run_replicas.simulate, REPLAY_REPLICAS
    with real_server() if given.replicas else nullcontext():
        if given.replay is not None:
            return _replay(chosen(given.replay, keep_trace=True))
        return _run(seeds(given.seeds), given.processes, chosen, replay)


def seeds(text: str) -> range:
    """Parse a count of seeds from 0 on, or a range FIRST-LAST that includes both."""
    first, dash, last = text.partition("-")
    return range(int(first), int(last) + 1) if dash else range(int(first))


def failures(chosen: Iterable[int], simulate: Callable[[int], Report] = simulate) -> Iterator[Report]:
    """Run the seeds and yield the report of each that failed."""
    for report in map(partial(_simulate, simulate), chosen):
        if report.violations:
            yield report


def _run(chosen: range, processes: int, simulate: Callable[[int], Report], replay: str) -> int:
    began = printed_at = time.monotonic()
    failed: list[Report] = []
    steps = 0
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for count, report in enumerate(pool.imap(partial(_simulate, simulate), chosen, chunksize=CHUNK), 1):
            steps += report.steps
            if report.violations:
                failed.append(report)
                print(f"seed {report.seed} fails:", flush=True)
                for text in report.violations:
                    print(f"    {text}", flush=True)
            if time.monotonic() - printed_at > REPORT_INTERVAL:
                printed_at = time.monotonic()
                print(f"{count} of {len(chosen)} seeds, {len(failed)} failed, {printed_at - began:.0f} s", flush=True)
    print(f"{len(chosen)} seeds, {steps} steps, {len(failed)} failed, {time.monotonic() - began:.0f} s")
    for report in failed[:20]:
        print(f"replay: {replay} {report.seed}")
    return 1 if failed else 0


def _simulate(simulate: Callable[[int], Report], seed: int) -> Report:
    if next(_count) % 200 == 0:
        gc.collect()
        gc.freeze()
    return simulate(seed)


_count = itertools.count()


def _replay(report: Report) -> int:
    for line in report.trace:
        print(line)
    print(report.plan)
    print(f"seed {report.seed}: {report.steps} steps, fingerprint {report.fingerprint}")
    for text in report.violations:
        print(f"    {text}")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
