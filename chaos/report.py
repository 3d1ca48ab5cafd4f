"""The summary of a history: its counts and its violations."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from harness.checker import INVARIANTS
from harness.history import Line
from harness.violations import Violation
from harness.watch_checker import STATE_RANKS

SHOWN = 3
"""The number of violations of one invariant that are printed in full."""


def figures(lines: Sequence[Line]) -> dict[str, int]:
    """Return the counts of a history by their names."""
    count = Counter(line.what for line in lines)
    final = Counter(line["state"] for line in lines if line.what == "final")
    failpoints = sum(1 for line in lines if line.what == "start" and line["failpoint"])
    faults = [line for line in lines if line.what == "fault"]
    charges = [line for line in lines if line.what == "charge"]
    totals = {
        "keys": len({line["key"] for line in lines if line.what == "submit"}),
        "submits": count["submit"],
        "submits that failed": count["submit failed"],
        "watches": count["watch"],
        "watches that failed": count["watch failed"],
        "messages": count["saw"] + count["news"],
        "starts": count["start"],
        "starts with a failpoint": failpoints,
        "kills": count["kill"],
        "connections cut": sum(line["connections"] for line in lines if line.what == "cut"),
        "faults": len(faults),
        "faults of submissions": sum(fault["on"] == "submit" for fault in faults),
        "charges": len(charges),
        "refunds": count["refund"],
        "keys charged more than once": sum(n > 1 for n in Counter(charge["prompt"] for charge in charges).values()),
        "generations": count["final"],
    }
    return totals | {
        f"{'left' if state in STATE_RANKS else 'ended as'} {state}": n for state, n in sorted(final.items())
    }


def table(totals: dict[str, int]) -> str:
    """Return the counts as text, one on each line."""
    return "\n".join(f"  {number:>8}  {name}" for name, number in totals.items())


def verdict(violations: Sequence[Violation]) -> str:
    """Return the violations as text; of each invariant the first few with their lines."""
    if not violations:
        return f"no violation of {len(INVARIANTS)} invariants"
    kinds: defaultdict[str, list[Violation]] = defaultdict(list)
    for violation in violations:
        kinds[violation.invariant].append(violation)
    totals = [f"{len(violations)} violations"]
    for kind, found in kinds.items():
        totals += [str(violation) for violation in found[:SHOWN]]
        if len(found) > SHOWN:
            totals.append(f"{kind}: {len(found) - SHOWN} more")
    return "\n".join(totals)
