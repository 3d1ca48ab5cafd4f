"""`python -m chaos run`: run storms and check their histories. `python -m chaos check FILE`: check a history again."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from pathlib import Path

from chaos.report import figures, table, verdict
from chaos.run import Plan, run
from harness.checker import check
from harness.gateway_process import NoGatewayError
from harness.history import HistoryError, read

HISTORIES = Path(".cache/chaos")
FOUND, BROKEN = 1, 2
"""Exit codes: 1 if violations were found; 2 if a storm failed or a file is not a history."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or one of the exit codes above."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        if given.command == "check":
            return _judge(given.file)
        if given.history and given.storms > 1:
            parser.error("--history needs --storms 1")
        return max(_judge(_run(plan, given.history or HISTORIES / f"{plan.seed}.jsonl")) for plan in plans(given))
    except (HistoryError, NoGatewayError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return BROKEN


def plans(given: argparse.Namespace) -> list[Plan]:
    """Return the plans of the requested storms, with consecutive seeds.

    Without the options --webhooks and --keyless the seed decides: one of two consecutive storms has webhooks, and in
    two of four consecutive storms Higgsfield ignores idempotency keys.
    """
    first = secrets.randbelow(10**6) if given.seed is None else given.seed
    return [
        Plan(
            given.seconds,
            given.submissions,
            seed,
            webhooks=seed % 2 == 0 if given.webhooks is None else given.webhooks,
            keyless=seed // 2 % 2 == 1 if given.keyless is None else given.keyless,
            settle=given.settle,
        )
        for seed in range(first, first + given.storms)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run storms against a gateway, then check their histories")
    running.add_argument("--storms", type=_number, default=1, metavar="N", help="number of storms (%(default)s)")
    running.add_argument("--seconds", type=float, default=60.0, help="duration of each storm (%(default)s)")
    running.add_argument(
        "--submissions", type=int, default=600, metavar="N", help="submissions in each storm (%(default)s)"
    )
    running.add_argument("--seed", type=int, help="random seed of the first storm; timing still differs between runs")
    running.add_argument(
        "--settle",
        type=float,
        default=90.0,
        metavar="SECONDS",
        help="longest wait for the clients after each storm (%(default)s)",
    )
    running.add_argument(
        "--webhooks",
        action=argparse.BooleanOptionalAction,
        help="send webhooks: some lost, late, duplicated or wrong (default: if the seed is even)",
    )
    running.add_argument(
        "--keyless",
        action=argparse.BooleanOptionalAction,
        help="Higgsfield ignores idempotency keys (default: if half the seed, rounded down, is odd)",
    )
    running.add_argument("--history", type=Path, metavar="FILE", help=f"file for the history ({HISTORIES}/SEED.jsonl)")
    checking = commands.add_parser("check", help="check the history of an earlier run")
    checking.add_argument("file", type=Path)
    return parser


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


def _run(plan: Plan, history: Path) -> Path:
    how = f"{'with' if plan.webhooks else 'without'} webhooks, keys {'ignored' if plan.keyless else 'honoured'}"
    print(f"chaos: seed {plan.seed}, {plan.submissions} submissions in {plan.seconds:g} s of storm, {how}", flush=True)
    asyncio.run(run(plan, history))
    return history


def _judge(file: Path) -> int:
    lines = read(file)
    violations = check(lines)
    print(table(figures(lines)))
    print(f"history: {file}")
    print(verdict(violations), flush=True)
    return FOUND if violations else 0


if __name__ == "__main__":
    sys.exit(main())
