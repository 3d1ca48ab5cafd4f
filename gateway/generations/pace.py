"""When to ask next: the pace of status polls, and forecasts, learned from how long generations of a model took.

For durations with the hazard rate h the best gap between polls is sqrt(2*lam/h): asking often where many end, seldom
where none does. `lam` is how many seconds of delay one call is worth. Polls stand at equal steps of the integral of
sqrt(h/(2*lam)); without history they stand 3 s apart. Durations are seconds from acceptance to the end.
"""

import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from gateway.generations.clock import jittered

POLL_EVERY = 3.0
"""Seconds between polls until there is a history."""
ENOUGH = 20
"""Durations from which on a model's history is believed."""
REMEMBERED = 300
LAM = 0.2
BINS = 20
BACKSTOP_SHARE = 0.95
"""With webhooks a poll is only there for lost ones: after so many have ended, then once in BACKSTOP_EVERY seconds."""
BACKSTOP_EVERY = 60.0
LATEST_BACKSTOP = 3600.0
MOST_PROGRESS = 0.99
"""What has not ended is not shown as over."""
MOST_LOOKS = 2
"""Status calls at most for the start of one generation while webhooks tell its end; about 1.1 on average."""
SOONER, LATER = 0.95, 1.5
"""Factors of the expected queue time after a generation was found started or queued: 9 of 10 are found started."""
LEARN_EVERY = 10
"""New durations after which a schedule is made anew."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is known of one model's durations: sorted, and the offsets of polls that follow from them."""

    durations: tuple[float, ...]
    polls: tuple[float, ...]
    peaks: tuple[float, ...]

    def next_after(self, elapsed: float) -> float | None:
        """The offset of the first poll later than `elapsed`; None behind all that was seen."""
        index = bisect_right(self.polls, elapsed)
        return self.polls[index] if index < len(self.polls) else None

    @property
    def backstop(self) -> float:
        """The offset after which an end that was not told is looked for."""
        return self.durations[min(int(len(self.durations) * BACKSTOP_SHARE), len(self.durations) - 1)]

    def total(self, elapsed: float) -> float | None:
        """How long half of those that have run for `elapsed` run in all; None behind all that was seen."""
        first = bisect_right(self.durations, elapsed)
        left = len(self.durations) - first
        return self.durations[first + left // 2] if left else None

    def progress(self, elapsed: float) -> float:
        """From 0 to 1 and never back: the part that is over of the run that is most likely now, or the most so far."""
        total = self.total(elapsed)
        ended = bisect_right(self.durations, elapsed)
        before = self.peaks[ended - 1] if ended else 0.0
        return before if total is None else min(max(before, elapsed / total), MOST_PROGRESS)


class Trust:
    """Whether webhooks arrive: they do once one has told the truth, until a poll finds an end that none had told."""

    __slots__ = ("arrive",)

    def __init__(self) -> None:
        self.arrive = False


class Paces:
    """Learns durations for each model and tells when to ask next. `shortest`, `longest` bound the gap in seconds."""

    def __init__(self, shortest: float, longest: float) -> None:
        self.shortest = shortest
        self.longest = longest
        self._history: dict[str, deque[float]] = {}
        self._schedules: dict[str, Schedule] = {}
        self._news: dict[str, int] = {}
        self._queued_for: dict[str, float] = {}

    def learn(self, model_id: str, duration: float) -> None:
        """One generation of the model has ended. What took no time at all was measured by clocks that jump."""
        if duration <= 0:
            return
        history = self._history.setdefault(model_id, deque(maxlen=REMEMBERED))
        history.append(duration)
        self._news[model_id] = self._news.get(model_id, 0) + 1
        if len(history) >= ENOUGH and (model_id not in self._schedules or self._news[model_id] >= LEARN_EVERY):
            self._news[model_id] = 0
            self._schedules[model_id] = schedule(sorted(history), self.longest)

    def learn_all(self, durations: Iterable[tuple[str, float]]) -> None:
        """What an earlier process has learned, oldest first."""
        for model_id, duration in durations:
            if duration > 0:
                self._history.setdefault(model_id, deque(maxlen=REMEMBERED)).append(duration)
        for model_id, history in self._history.items():
            if len(history) >= ENOUGH:
                self._schedules[model_id] = schedule(sorted(history), self.longest)

    def starts_after(self, model_id: str) -> float:
        """Return the seconds from acceptance after which a generation has probably started."""
        return self._queued_for.get(model_id, POLL_EVERY)

    def learn_start(self, model_id: str, *, started: bool) -> None:
        """Adjust `starts_after` by what a look at that time found."""
        expected = self.starts_after(model_id) * (SOONER if started else LATER)
        self._queued_for[model_id] = min(max(expected, self.shortest), LATEST_BACKSTOP)

    def longest_run(self, model_id: str) -> float | None:
        """Return the longest run time of a model in its history; None without one."""
        known = self._schedules.get(model_id)
        return known.durations[-1] if known else None

    def known(self, model_id: str) -> Schedule | None:
        """What is known of a model; None while that is too little."""
        return self._schedules.get(model_id)

    def gap(self, model_id: str, elapsed: float, errors: int, *, webhooks: bool) -> float:
        """Seconds until the next poll of a generation that has run for `elapsed`, longer after errors in a row.

        `webhooks`: its end will be told; then it is asked only in case that is lost, at most once a minute.
        """
        if errors:
            return self._bounded(POLL_EVERY * 2 ** min(errors, 10))
        known = self._schedules.get(model_id)
        if webhooks:
            late = min(known.backstop, LATEST_BACKSTOP) - elapsed if known else 0.0
            return jittered(BACKSTOP_EVERY + max(0.0, late))
        if known is None:
            return self._bounded(POLL_EVERY)
        at = known.next_after(elapsed)
        # Behind all durations that were seen, the tail goes on as it was: ever more slowly.
        gap = max(elapsed / 10, POLL_EVERY) if at is None else at - elapsed
        # Later only: a poll that came before its offset would be followed by another at it.
        return min(max(gap, self.shortest), self.longest) * random.uniform(1.0, 1.04)

    def _bounded(self, seconds: float) -> float:
        return jittered(min(max(seconds, self.shortest), self.longest))


def schedule(durations: Sequence[float], longest: float) -> Schedule:
    """The schedule for sorted durations: the hazard rate in bins of equal counts, then polls at equal steps."""
    bins = _hazards(durations)
    return Schedule(tuple(durations), _polls(bins, longest), _peaks(durations))


def _peaks(durations: Sequence[float]) -> tuple[float, ...]:
    """The most progress that can have been shown before each duration ended."""
    count = len(durations)
    shown = (end / durations[index + (count - index) // 2] for index, end in enumerate(durations))
    return tuple(min(peak, MOST_PROGRESS) for peak in accumulate(shown, max))


def _hazards(durations: Sequence[float]) -> list[tuple[float, float, float]]:
    """Bins as (from, to, rate of ending there for those that came so far)."""
    count = len(durations)
    edges = sorted({round(count * part / BINS) for part in range(1, BINS + 1)})
    bins = []
    begin, survivors = durations[0] * 0.9, count
    for edge in edges:
        end = durations[edge - 1]
        left = count - edge
        if end <= begin:
            survivors = left
            continue
        rate = math.log(survivors / (left or 0.5)) / (end - begin)
        bins.append((begin, end, rate))
        begin, survivors = end, left
    return bins


def _polls(bins: Sequence[tuple[float, float, float]], longest: float) -> tuple[float, ...]:
    """Offsets at equal steps, no gap longer than `longest`."""
    offsets: list[float] = []
    due, last = 1.0, 0.0
    for begin, end, rate in bins:
        density = math.sqrt(rate / (2 * LAM))
        at = begin
        while True:
            step = due / density if density else math.inf
            if at + step > end and last + longest > end:
                due -= (end - at) * density
                break
            at = min(at + step, last + longest)
            offsets.append(at)
            due, last = 1.0, at
    if not offsets or offsets[-1] < bins[-1][1]:
        offsets.append(bins[-1][1])
    return tuple(offsets)
