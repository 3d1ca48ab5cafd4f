"""The schedule of status polls, learned from how long generations of a model took.

For durations with the hazard rate h, the best interval between polls is sqrt(2*POLL_COST/h): short where many
generations end, long where few do. Polls are placed at equal steps of the integral of sqrt(h/(2*POLL_COST)). Without
history they are 3 s apart at first. Durations are seconds from acceptance to the end.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence

from gateway.frozen import frozen
from gateway.generations.clock import jittered
from gateway.generations.model import GenerationId
from gateway.generations.run_times import RunTimes

POLL_INTERVAL = 3.0
"""The least seconds between polls of a model without history. The gap grows with a tenth of the time since acceptance,
up to the longest interval."""
ENOUGH_DURATIONS = 20
"""Number of durations from which a schedule is made."""
POLL_COST = 0.2
"""Seconds of delay that one status call is worth."""
BINS = 20
BACKSTOP_SHARE = 0.95
"""With webhooks, polls only find lost ones: first when this share of the durations is over, then every
BACKSTOP_INTERVAL seconds."""
BACKSTOP_INTERVAL = 60.0
MAX_BACKSTOP_DELAY = 3600.0
MAX_START_CHECKS = 2
"""The most start checks of a generation: status calls to notice its start, because a webhook reports only its end."""
SPARE_START_CHECKS = 5
"""Second start checks that a new process may make before any was saved; see `PollIntervals.spare_start_checks`."""
SOONER_FACTOR, LATER_FACTOR = 0.99, 1.4
"""Factors of the expected queue time after a generation was found started or queued at that time. With these, 97 of 100
are found started."""
ON_TIME_SHARE = 0.1
"""A poll that is later than the expected queue time by this share of it says nothing about shorter queue times."""
FRESH_FOR, FRESH_SHARE = 1.0, 0.5
"""Seconds for which the state of a queued generation is not read again for a caller that asks, and the same as a share
of the time since its acceptance, so that callers that ask often cause few calls."""


@frozen
class Schedule:
    """The sorted durations of one model, and the offsets of polls computed from them."""

    durations: Sequence[float]
    polls: tuple[float, ...]

    def next_after(self, elapsed: float) -> float | None:
        """Return the offset of the first poll after `elapsed`; None after the longest duration."""
        index = bisect_right(self.polls, elapsed)
        return self.polls[index] if index < len(self.polls) else None

    @property
    def backstop(self) -> float:
        """The offset of the first poll if the end should be reported by webhook."""
        return self.durations[min(int(len(self.durations) * BACKSTOP_SHARE), len(self.durations) - 1)]


class WebhookReliability:
    """Whether webhooks arrive: None until that is known, then from a true webhook until a poll finds an unreported end.

    Until it is known, one generation is polled as a probe, and the others wait for it. The probe is the one that is
    expected to end first, so that the others learn early if no webhooks arrive.
    """

    __slots__ = ("_ends_at", "_probe", "arrive")

    def __init__(self) -> None:
        self.arrive: bool | None = None
        self._probe: GenerationId | None = None
        self._ends_at = 0.0

    def decide_reliance(
        self, generation_id: GenerationId, ends_at: float, is_live: Callable[[GenerationId], bool]
    ) -> bool:
        """Return whether a webhook is relied on to report the end of a generation, which is expected at `ends_at`.

        While it is not known whether webhooks arrive, this generation may become the probe. `is_live` returns whether
        a generation has not ended.
        """
        if self.arrive is not None:
            return self.arrive
        if self._probe is None or not is_live(self._probe) or ends_at < self._ends_at:
            self._probe, self._ends_at = generation_id, ends_at
        return generation_id != self._probe


class PollIntervals:
    """The schedules of all models. `shortest` and `longest` bound the interval of polls in seconds.

    `spare_start_checks` is the number of generations that ended without a status call, minus the number of second start
    checks. A second one is only made while it is positive, so that a generation costs one start check on average.
    """

    def __init__(self, run_times: RunTimes, shortest: float, longest: float) -> None:
        self.run_times = run_times
        self.shortest = shortest
        self.longest = longest
        self.spare_start_checks = SPARE_START_CHECKS
        self._schedules: dict[str, Schedule] = {}
        self._queued_for: dict[str, float] = {}

    def starts_after(self, model_id: str) -> float:
        """Return the seconds from acceptance after which a generation has probably started."""
        return self._queued_for.get(model_id, POLL_INTERVAL)

    def learn_start(self, model_id: str, elapsed: float, *, started: bool) -> None:
        """Adjust `starts_after` by what a poll found `elapsed` seconds after the acceptance."""
        expected = self.starts_after(model_id)
        if not started and elapsed >= expected * (1 - ON_TIME_SHARE):
            expected = elapsed * LATER_FACTOR
        elif started and elapsed <= expected * (1 + ON_TIME_SHARE):
            expected *= SOONER_FACTOR
        else:
            return
        self._queued_for[model_id] = min(max(expected, self.shortest), MAX_BACKSTOP_DELAY)

    def longest_run(self, model_id: str) -> float | None:
        """Return the longest run time of a model in its history; None without one."""
        known = self.known(model_id)
        return known.durations[-1] if known else None

    def known(self, model_id: str) -> Schedule | None:
        """Return the schedule of a model; None without enough history."""
        history = self.run_times.of_model(model_id)
        if history is None or len(history.seconds) < ENOUGH_DURATIONS:
            return None
        known = self._schedules.get(model_id)
        if known is None or known.durations is not history.seconds:
            known = self._schedules[model_id] = schedule(history.seconds, self.longest)
        return known

    def gap(self, model_id: str, elapsed: float, errors: int, *, webhooks: bool) -> float:
        """Return the seconds until the next poll of a generation that was accepted `elapsed` seconds ago.

        Each of the last `errors` calls in a row doubles the interval. With `webhooks`, polls only find lost ones.
        """
        if errors:
            return self._bounded(POLL_INTERVAL * 2 ** min(errors, 10))
        known = self.known(model_id)
        if webhooks:
            late = min(known.backstop, MAX_BACKSTOP_DELAY) - elapsed if known else 0.0
            return jittered(BACKSTOP_INTERVAL + max(0.0, late))
        at = None if known is None else known.next_after(elapsed)
        if at is None:
            # Without history, and after the longest duration, the interval keeps growing.
            return self._bounded(max(elapsed / 10, POLL_INTERVAL))
        # Never earlier than the offset, which would cause a second poll at the offset.
        return min(max(at - elapsed, self.shortest), self.longest) * random.uniform(1.0, 1.04)

    def _bounded(self, seconds: float) -> float:
        return jittered(min(max(seconds, self.shortest), self.longest))


def is_stale(elapsed: float, age: float) -> bool:
    """Return whether the state of a queued generation must be read again for a caller that asks.

    `elapsed` is the time since its acceptance in seconds, `age` that since its state was read.
    """
    return age > max(FRESH_FOR, FRESH_SHARE * elapsed)


def schedule(durations: Sequence[float], longest: float) -> Schedule:
    """Return the schedule for sorted durations; no interval is longer than `longest` seconds."""
    bins = _hazards(durations)
    return Schedule(durations, _polls(bins, longest))


def _hazards(durations: Sequence[float]) -> list[tuple[float, float, float]]:
    """Return bins of equal counts as (from, to, hazard rate)."""
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
    """Return offsets at equal steps of the integral, no interval longer than `longest`."""
    offsets: list[float] = []
    due, last = 1.0, 0.0
    for begin, end, rate in bins:
        density = math.sqrt(rate / (2 * POLL_COST))
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
