"""The results of benchmarks: figures with their baselines and goals, as a table and as JSON."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

COLUMNS = ("figure", "gateway", "baseline", "judged", "goal", "")


class Judged(Enum):
    """The value that is compared with the goal of a figure."""

    RATIO = "ratio to the baseline"
    EXCESS = "excess over the baseline"
    VALUE = "the value itself"


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound: an upper one if `upper` is set, otherwise a lower one."""

    bound: float
    upper: bool
    promise: bool = False
    """Whether it applies to runs of any size: a quick run fails too if it is missed."""

    def met(self, value: float) -> bool:
        """Return whether a value meets the goal."""
        return value <= self.bound if self.upper else value >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.upper else '>='} {self.bound:g}"


def at_least(bound: float) -> Goal:
    """Return a goal with a lower bound."""
    return Goal(bound, upper=False)


def at_most(bound: float) -> Goal:
    """Return a goal with an upper bound."""
    return Goal(bound, upper=True)


def promised(bound: float) -> Goal:
    """Return an upper bound that also applies to quick runs."""
    return Goal(bound, upper=True, promise=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """One result. `value` is compared with the goal; without a goal it is only reported."""

    name: str
    unit: str
    ours: float
    baseline: float | None
    judged: Judged
    value: float
    goal: Goal | None

    @property
    def met(self) -> bool:
        """Whether the goal is met; True without a goal."""
        return self.goal is None or self.goal.met(self.value)

    def as_json(self) -> dict[str, Any]:
        """Return all fields for a JSON file."""
        return asdict(self) | {"judged": self.judged.value, "goal": self.goal and str(self.goal), "met": self.met}


def ratio(name: str, unit: str, ours: Sequence[float], baseline: Sequence[float], goal: Goal | None = None) -> Figure:
    """Return a figure that is judged by the median of each round's ratio to its own baseline.

    The speed of the machine changes more between rounds than within one.
    """
    ratios = [one / other for one, other in zip(ours, baseline, strict=True)]
    return Figure(
        name, unit, statistics.median(ours), statistics.median(baseline), Judged.RATIO, statistics.median(ratios), goal
    )


def excess(name: str, unit: str, ours: float, baseline: float, goal: Goal | None = None) -> Figure:
    """Return a figure that is judged by its excess over the baseline."""
    return Figure(name, unit, ours, baseline, Judged.EXCESS, ours - baseline, goal)


def value(name: str, unit: str, ours: float, goal: Goal | None = None) -> Figure:
    """Return a figure that is judged by its own value."""
    return Figure(name, unit, ours, None, Judged.VALUE, ours, goal)


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table, in the format of docs/performance.md."""
    rows = [COLUMNS, *(_row(figure) for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, ...]:
    judged = _number(figure.value)
    if figure.judged is Judged.RATIO:
        judged = f"x {figure.value:.2f}"
    elif figure.judged is Judged.EXCESS:
        judged = f"+ {judged}"
    return (
        f"{figure.name}, {figure.unit}",
        _number(figure.ours),
        "" if figure.baseline is None else _number(figure.baseline),
        judged,
        "" if figure.goal is None else str(figure.goal),
        "" if figure.goal is None else "met" if figure.met else "MISSED",
    )


def _number(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
