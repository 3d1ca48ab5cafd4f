"""What a benchmark finds: figures beside their baselines and goals, as a table and as JSON."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

COLUMNS = ("figure", "gateway", "baseline", "judged", "goal", "")


class Judged(Enum):
    """What of a figure its goal is for."""

    RATIO = "ratio to the baseline"
    EXCESS = "excess over the baseline"
    VALUE = "the value itself"


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound, and on which side of it to be."""

    bound: float
    upper: bool
    promise: bool = False
    """It holds however small the run: a quick one fails too where it is missed."""

    def met(self, value: float) -> bool:
        """Whether a value is as good as demanded."""
        return value <= self.bound if self.upper else value >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.upper else '>='} {self.bound:g}"


def at_least(bound: float) -> Goal:
    """A goal from below."""
    return Goal(bound, upper=False)


def at_most(bound: float) -> Goal:
    """A goal from above."""
    return Goal(bound, upper=True)


def promised(bound: float) -> Goal:
    """What no run may exceed, however quick."""
    return Goal(bound, upper=True, promise=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """One finding. `value` is what the goal is for; without a goal it is told for the record only."""

    name: str
    unit: str
    ours: float
    baseline: float | None
    judged: Judged
    value: float
    goal: Goal | None

    @property
    def met(self) -> bool:
        """Whether it is as good as demanded."""
        return self.goal is None or self.goal.met(self.value)

    def as_json(self) -> dict[str, Any]:
        """All of it, for a file."""
        return asdict(self) | {"judged": self.judged.value, "goal": self.goal and str(self.goal), "met": self.met}


def ratio(name: str, unit: str, ours: Sequence[float], baseline: Sequence[float], goal: Goal | None = None) -> Figure:
    """Judged by the median of the rounds' own ratios: the machine drifts between rounds, less within one."""
    ratios = [one / other for one, other in zip(ours, baseline, strict=True)]
    return Figure(
        name, unit, statistics.median(ours), statistics.median(baseline), Judged.RATIO, statistics.median(ratios), goal
    )


def excess(name: str, unit: str, ours: float, baseline: float, goal: Goal | None = None) -> Figure:
    """Judged by what it adds to the baseline."""
    return Figure(name, unit, ours, baseline, Judged.EXCESS, ours - baseline, goal)


def value(name: str, unit: str, ours: float, goal: Goal | None = None) -> Figure:
    """Judged by itself."""
    return Figure(name, unit, ours, None, Judged.VALUE, ours, goal)


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table: what the screen shows can go into docs/performance.md as it is."""
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
