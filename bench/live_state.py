"""The state that callers see while webhooks report only ends: its lag, the truth of `cancelable`, and what that costs.

Simulated with the decisions of production (`PollIntervals`, `WebhookReliability`, the rule for callers that ask) on
traces of queue and run times. Every call takes CALL seconds, and Higgsfield reads its state in the middle of it."""

import heapq
import math
import random
import statistics

from bench.figures import Figure, at_most, value
from gateway.generations.model import GenerationId
from gateway.generations.polling.pace import MAX_START_CHECKS, PollIntervals, WebhookReliability, is_stale
from gateway.generations.run_times import GUESSES, RunTimes

SEED = 20_261_121
LEARNED, MEASURED = 300, 4000
QUEUE = (2.0, 0.3)
"""Median in seconds and sigma of the log-normal time in Higgsfield's queue."""
CALL = 0.1
"""Seconds of a call to Higgsfield."""
WEBHOOK = 0.5
"""Seconds from the end of a generation until its webhook is processed."""
MOMENTS = 20
"""Random moments at which each generation is looked at."""
COLD_EVERY, COLD_COUNT, COLD_STARTS = 3.0, 60, 50
"""Seconds between submissions to a gateway that has just started, their number, and how often that is repeated."""
LAG, EXTRA_CALLS, WRONG, COLD_CALLS = 2.0, 1.0, 0.01, 0.3
"""The goals."""

Trace = list[tuple[float, float]]
"""Queue and run times in seconds."""


def figures(name: str, median: float, sigma: float) -> list[Figure]:
    """Simulate watchers, callers that ask, and a cold start, on a trace with this median and sigma of run times."""
    source = random.Random(SEED)
    trace = [
        (source.lognormvariate(math.log(QUEUE[0]), QUEUE[1]), source.lognormvariate(math.log(median), sigma))
        for _ in range(LEARNED + MEASURED)
    ]
    lag, start_lag, watched_calls = _watched(trace, source)
    wrong, asked_calls = _asked(trace[LEARNED:], source)
    return [
        value(f"{name}, watched: lag of the state, p95", "s", lag, at_most(LAG)),
        value(f"{name}, watched: delay until the start is shown, p95", "s", start_lag),
        value(f"{name}, watched: status calls with webhooks", "calls", watched_calls, at_most(EXTRA_CALLS)),
        value(f"{name}, asked once: cancelable contradicts Cancel", "of all", wrong, at_most(WRONG)),
        value(f"{name}, asked once: status calls with webhooks", "calls", asked_calls, at_most(EXTRA_CALLS)),
        value(
            f"{name}, cold start: status calls with webhooks", "calls", _cold(trace, name, source), at_most(COLD_CALLS)
        ),
    ]


def _watched(trace: Trace, source: random.Random) -> tuple[float, float, float]:
    """Return the p95 of the lag at random moments, the p95 of the delay of starts, and the mean number of calls."""
    intervals = PollIntervals(RunTimes(), shortest=1.0, longest=30.0)
    lags, delays, calls = [], [], 0
    for number, (queued, runs) in enumerate(trace):
        shown, looks, ends = math.inf, 0, queued + runs
        at = max(intervals.starts_after("model"), intervals.shortest)
        while (
            at < ends
            and shown == math.inf
            and (not looks or (looks < MAX_START_CHECKS and intervals.spare_start_checks > 0))
        ):
            intervals.spare_start_checks -= bool(looks)
            looks += 1
            started = at + CALL / 2 >= queued
            intervals.learn_start("model", at, started=started)
            if started:
                shown = at + CALL
            at = max(intervals.starts_after("model"), at + CALL + intervals.shortest)
        if number < LEARNED:
            continue
        calls += looks
        known = min(shown, ends + WEBHOOK)
        delays.append(known - queued)
        for _ in range(MOMENTS):
            moment = source.uniform(0.0, ends + WEBHOOK)
            false_since = ends if moment >= ends else queued if queued <= moment < known else moment
            lags.append(moment - false_since)
    return _p95(lags), _p95(delays), calls / MEASURED


def _asked(trace: Trace, source: random.Random) -> tuple[float, float]:
    """Return the share of wrong answers of callers that ask once and then cancel, and the mean number of calls."""
    wrong = calls = 0
    for queued, runs in trace:
        moment = source.uniform(0.0, queued + runs)
        asks = is_stale(moment, moment)
        read_at = moment + CALL / 2 if asks else 0.0
        answered = moment + CALL if asks else moment
        calls += asks
        wrong += (read_at < queued) != (answered + CALL / 2 < queued)
    return wrong / len(trace), calls / len(trace)


def _cold(trace: Trace, name: str, source: random.Random) -> float:
    """Return the mean number of calls for the first generations of a gateway that has just started."""
    traits = "image" if name == "images" else "video"
    assert traits in GUESSES
    calls = 0
    for start in range(COLD_STARTS):
        rows = [trace[(start * COLD_COUNT + number) % len(trace)] for number in range(COLD_COUNT)]
        calls += _one_cold_start(rows, traits, source)
    return calls / (COLD_STARTS * COLD_COUNT)


def _one_cold_start(rows: Trace, traits: str, source: random.Random) -> int:
    run_times, reliability = RunTimes(), WebhookReliability()
    intervals = PollIntervals(run_times, shortest=1.0, longest=30.0)
    accepted = [number * COLD_EVERY * source.uniform(0.5, 1.5) for number in range(len(rows))]
    reported_at = [at + sum(row) + WEBHOOK for at, row in zip(accepted, rows, strict=True)]
    now, calls = 0.0, 0

    def relies_on_webhook(number: int) -> bool:
        similar, _ = run_times.similar("model", traits)
        ends_at = accepted[number] + (similar.total(0.0) or 0.0)
        return reliability.decide_reliance(
            GenerationId(str(number)), ends_at, lambda name: reported_at[int(name)] > now
        )

    due = [(at, number, False) for number, at in enumerate(accepted)]
    heapq.heapify(due)
    while due:
        now, number, poll = heapq.heappop(due)
        reliability.arrive = reliability.arrive or any(at <= now for at in reported_at) or None
        if reported_at[number] <= now:
            continue
        calls += poll and not relies_on_webhook(number)
        if reported_at[number] - WEBHOOK <= now:
            continue  # the poll found the end
        gap = intervals.gap("model", now - accepted[number], 0, webhooks=relies_on_webhook(number))
        heapq.heappush(due, (now + gap, number, True))
    return calls


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
