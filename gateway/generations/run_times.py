"""The run times of ended generations, for forecasts and for polls.

A generation is compared with ended ones that are as similar as possible: of the same model, duration and resolution; of
the same model; of the same kind of output. The first of these groups with at least ENOUGH_RUN_TIMES run times is used.
Without any, a built-in distribution of the kind is used, which says nothing about the model.

The expected run time of a generation that has run for a while is the median of those that ran longer. After
OVERDUE_SHARE of the run times the generation is overdue: the few that remain do not predict how long it still takes.
"""

import functools
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from itertools import accumulate
from statistics import NormalDist

from gateway.generations.model import Basis, RunTime

ENOUGH_RUN_TIMES = 5
"""Run times from which a group is used. The median of five is closer than that of a less similar group."""
REMEMBERED_RUN_TIMES = 300
"""Run times that are kept of each group."""
RECOMPUTE_SHARE = 0.05
"""The share of new run times in a group after which its history is computed again, which takes 0.1 ms."""
OVERDUE_SHARE = 0.95
"""The share of run times after which a generation is overdue."""
MAX_PROGRESS = 0.99
"""The most progress that is shown before the end."""
GUESSES = {"image": (12.0, 0.5), "video": (90.0, 0.6)}
"""Median in seconds and sigma of log-normal run times by kind, until ENOUGH_RUN_TIMES real ones are known.

Other kinds are as images.
"""

_Group = tuple[str, str]
"""A model id and traits, either of which may be empty."""


class History:
    """Run times of similar generations."""

    __slots__ = ("_late", "_peaks", "median", "seconds")

    def __init__(self, seconds: Iterable[float]) -> None:
        self.seconds = tuple(sorted(seconds))
        count = len(self.seconds)
        self.median = self.seconds[count // 2]
        """The expected run time of a generation that has just been accepted."""
        shown = (end / self.seconds[index + (count - index) // 2] for index, end in enumerate(self.seconds))
        self._peaks = tuple(min(peak, MAX_PROGRESS) for peak in accumulate(shown, max))
        """For each run time, the most progress that can have been shown before."""
        self._late = min(int(count * OVERDUE_SHARE), count - 1)

    def expect(self, elapsed: float) -> tuple[float | None, float]:
        """Return the expected run time and the progress of a generation that has run for `elapsed` seconds.

        The run time is None if the generation is overdue. The progress is `elapsed` as a share of the run time, from 0
        to MAX_PROGRESS; it never decreases.
        """
        if elapsed >= self.seconds[self._late]:
            return None, self._peaks[self._late]
        ended = bisect_right(self.seconds, elapsed)
        total = self.seconds[ended + (len(self.seconds) - ended) // 2]
        return total, min(max(self._peaks[ended - 1] if ended else 0.0, elapsed / total), MAX_PROGRESS)


class RunTimes:
    """The run times of ended generations, in groups of similar ones."""

    def __init__(self) -> None:
        self._seconds: dict[_Group, deque[float]] = {}
        self._histories: dict[_Group, History] = {}
        self._not_in_history: dict[_Group, int] = {}
        """The run times that are not in the history yet."""
        self.similar = functools.lru_cache(maxsize=1000)(self._most_similar)
        """Returns the run times of the most similar generations, by model id and traits, and what they have in common.

        Each status call asks for them, and each poll. They are looked up again after a history has changed.
        """

    def learn(self, run_time: RunTime) -> None:
        """Add the run time of an ended generation. One that is not positive was measured across a clock jump."""
        if run_time.seconds <= 0:
            return
        for group, _ in _groups(run_time.model_id, run_time.traits):
            seconds = self._seconds.setdefault(group, deque(maxlen=REMEMBERED_RUN_TIMES))
            seconds.append(run_time.seconds)
            self._not_in_history[group] = self._not_in_history.get(group, 0) + 1
            if self._not_in_history[group] >= RECOMPUTE_SHARE * len(seconds):
                self._histories.pop(group, None)
                self.similar.cache_clear()

    def learn_all(self, stored: Iterable[RunTime]) -> None:
        """Add the stored run times of earlier processes, oldest first."""
        for run_time in stored:
            self.learn(run_time)

    def of_model(self, model_id: str) -> History | None:
        """Return the run times of a model; None if there are too few."""
        return self._history((model_id, ""))

    def _most_similar(self, model_id: str, traits: str) -> tuple[History, Basis]:
        for group, basis in _groups(model_id, traits):
            history = self._history(group)
            if history is not None:
                return history, basis
        return _BUILT_IN.get(_kind(traits), _BUILT_IN["image"]), Basis.BUILT_IN

    def _history(self, group: _Group) -> History | None:
        history = self._histories.get(group)
        if history is None and len(self._seconds.get(group, ())) >= ENOUGH_RUN_TIMES:
            history = self._histories[group] = History(self._seconds[group])
            self._not_in_history[group] = 0
        return history


def _groups(model_id: str, traits: str) -> tuple[tuple[_Group, Basis], ...]:
    """Return the groups of a generation, the most similar first. Rows of old stores have no traits."""
    of_model = ((model_id, ""), Basis.MODEL)
    if not traits:
        return (of_model,)
    return ((model_id, traits), Basis.SAME_SETTINGS), of_model, (("", _kind(traits)), Basis.KIND)


def _kind(traits: str) -> str:
    return traits.partition(" ")[0]


def _built_in(median: float, sigma: float, count: int = 100) -> History:
    normal = NormalDist(math.log(median), sigma)
    return History(math.exp(normal.inv_cdf((index + 0.5) / count)) for index in range(count))


_BUILT_IN = {kind: _built_in(*guess) for kind, guess in GUESSES.items()}
