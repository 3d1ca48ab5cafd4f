"""`python -m chaos run`: let storms pass and judge them. `python -m chaos check FILE`: judge an old one again."""

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
"""Exit codes: a promise was broken; the run, or the file, was no good."""


def main(arguments: list[str] | None = None) -> int:
    """Run, and check; 1 where a promise was broken."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        if given.command == "check":
            return _judge(given.file)
        if given.history and given.storms > 1:
            parser.error("--history is for one storm")
        return max(_judge(_run(plan, given.history or HISTORIES / f"{plan.seed}.jsonl")) for plan in plans(given))
    except (HistoryError, NoGatewayError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return BROKEN


def plans(given: argparse.Namespace) -> list[Plan]:
    """The storms that were asked for, of seeds that follow each other. What was not said, a seed decides itself.

    Of two in a row one has webhooks and one has none; of four in a row two have a Higgsfield that honours no keys.
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
    running = commands.add_parser("run", help="let storms pass over a gateway, then judge their histories")
    running.add_argument("--storms", type=_number, default=1, metavar="N", help="one after the other (%(default)s)")
    running.add_argument("--seconds", type=float, default=60.0, help="how long each of them lasts (%(default)s)")
    running.add_argument("--submissions", type=int, default=600, metavar="N", help="in each (%(default)s)")
    running.add_argument(
        "--seed", type=int, help="of all that is drawn in the first; what depends on timing differs all the same"
    )
    running.add_argument(
        "--settle", type=float, default=90.0, metavar="SECONDS", help="at most, after it (%(default)s)"
    )
    running.add_argument(
        "--webhooks",
        action=argparse.BooleanOptionalAction,
        help="webhooks are on: lost, late, doubled, lying (where the seed is even, unless told)",
    )
    running.add_argument(
        "--keyless",
        action=argparse.BooleanOptionalAction,
        help="Higgsfield honours no idempotency keys (where half the seed is odd, unless told)",
    )
    running.add_argument("--history", type=Path, metavar="FILE", help=f"where to write ({HISTORIES}/SEED.jsonl)")
    checking = commands.add_parser("check", help="judge the history of an earlier run")
    checking.add_argument("file", type=Path)
    return parser


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("at least one")
    return number


def _run(plan: Plan, history: Path) -> Path:
    how = f"{'with' if plan.webhooks else 'without'} webhooks, keys {'not ' if plan.keyless else ''}honoured"
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
