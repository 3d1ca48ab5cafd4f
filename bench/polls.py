"""Status calls per generation and the delay until its end is noticed, compared with the loops of the official SDKs.

Only the schedules are compared: they are simulated on one trace of durations, and calls take no time. The gateway
learns from the first 300 durations and is measured on the others.

Forecasts are measured on a second trace of the same medians and spread. In it, duration and resolution explain most of
the spread, and the rest has a sigma of OWN. After every 50 ends a new gateway forecasts the next 50 generations at
their acceptance. The baseline knows the true median of each setting, so its error cannot be avoided.
"""

import math
import random
import statistics
from collections.abc import Callable, Sequence

from bench import live_state
from bench.figures import Figure, Judged, at_most, ratio, value
from bench.load import Effort
from gateway.generations.model import RunTime
from gateway.generations.polling.pace import PollIntervals
from gateway.generations.run_times import REMEMBERED_RUN_TIMES, RunTimes

SEED = 20_261_120
MEASURED = 4000
PYTHON_SDK, JS_SDK = 0.5, 2.0
"""Seconds between the polls of the official SDKs, from their source."""
TRACES = {"images": (12.0, 0.5, 6.0, 1.0), "videos": (90.0, 0.6, 16.0, 3.0)}
"""Median and sigma of log-normal durations, and the goals: status calls, and the mean delay in seconds."""
WEBHOOK_CALLS = 0.3

OWN = 0.25
"""The sigma of run times of one model with one duration and one resolution."""
SETTINGS = {"images": {"image 720": -0.5, "image 1080": 0.5}, "videos": {
    "video 5s 720": -0.5, "video 5s 1080": 0.125, "video 10s 720": -0.125, "video 10s 1080": 0.5,
}}  # fmt: skip
"""The settings in the trace of forecasts, equally frequent, and the place of their median in the spread."""
ENDS, FORECAST_ERROR = 50, 0.2
"""The ends that a forecast is learned from, and the goal for its median error."""

Gap = Callable[[float], float]


async def run(effort: Effort) -> list[Figure]:
    """Simulate each trace with and without webhooks."""
    figures = []
    for name, (median, sigma, calls_goal, delay_goal) in TRACES.items():
        trace = _trace(median, sigma)
        learned, measured = trace[:REMEMBERED_RUN_TIMES], trace[REMEMBERED_RUN_TIMES:]
        calls, delay = _calls_and_delay(measured, _gateway(learned, webhooks=False))
        python_calls, python_delay = _calls_and_delay(measured, lambda _: PYTHON_SDK)
        js_calls, js_delay = _calls_and_delay(measured, lambda _: JS_SDK)
        with_webhooks, _ = _calls_and_delay(measured, _gateway(learned, webhooks=True), end_by_webhook=True)
        figures += [
            value(f"{name}: status calls", "calls", calls, at_most(calls_goal)),
            value(f"{name}: mean delay", "s", delay, at_most(delay_goal)),
            ratio(f"{name}: status calls vs the Python SDK", "calls", [calls], [python_calls]),
            ratio(f"{name}: mean delay vs the Python SDK", "s", [delay], [python_delay]),
            ratio(f"{name}: status calls vs the JavaScript SDK", "calls", [calls], [js_calls]),
            ratio(f"{name}: mean delay vs the JavaScript SDK", "s", [delay], [js_delay]),
            value(f"{name}: status calls with webhooks", "calls", with_webhooks, at_most(WEBHOOK_CALLS)),
            *live_state.figures(name, median, sigma),
            *_forecasts(name, median, sigma),
        ]
    return figures


def _forecasts(name: str, median: float, sigma: float) -> list[Figure]:
    """Return the error of forecasts, and how often they were exceeded."""
    places = SETTINGS[name]
    # The variances between the settings and within them add up to that of the whole trace.
    scale = math.sqrt((sigma**2 - OWN**2) / statistics.mean(place**2 for place in places.values()))
    medians = {traits: median * math.exp(scale * place) for traits, place in places.items()}
    error, least, overdue = _errors(medians, OWN)
    alike, alike_least, _ = _errors({name: median}, sigma)
    goal = at_most(FORECAST_ERROR)
    figure = f"{name}: error of forecasts after {ENDS} ends"
    return [
        Figure(figure, "of the run time", error, least, Judged.VALUE, error, goal),
        Figure(f"{figure}, settings do not matter", "of the run time", alike, alike_least, Judged.VALUE, alike, None),
        value(f"{name}: ended overdue", "of all", overdue),
    ]


def _errors(medians: dict[str, float], sigma: float) -> tuple[float, float, float]:
    """Return the median error of forecasts, that of the true medians, and the share of overdue generations."""
    source = random.Random(SEED)
    ended = []
    for _ in range(REMEMBERED_RUN_TIMES + MEASURED):
        traits = source.choice(list(medians))
        ended.append(RunTime("model", traits, medians[traits] * source.lognormvariate(0.0, sigma)))
    errors, unavoidable, overdue = [], [], 0
    for start in range(0, len(ended) - 2 * ENDS, 2 * ENDS):
        run_times = RunTimes()
        run_times.learn_all(ended[start : start + ENDS])
        for one in ended[start + ENDS : start + 2 * ENDS]:
            similar, _ = run_times.similar(one.model_id, one.traits)
            errors.append(abs((similar.total(0.0) or 0.0) / one.seconds - 1.0))
            unavoidable.append(abs(medians[one.traits] / one.seconds - 1.0))
            overdue += similar.total(one.seconds) is None
    return statistics.median(errors), statistics.median(unavoidable), overdue / len(errors)


def _trace(median: float, sigma: float) -> list[float]:
    source = random.Random(SEED)
    return [source.lognormvariate(math.log(median), sigma) for _ in range(REMEMBERED_RUN_TIMES + MEASURED)]


def _gateway(learned: Sequence[float], *, webhooks: bool) -> Gap:
    """Return the gateway's schedule with its default bounds."""
    run_times = RunTimes()
    run_times.learn_all(RunTime("model", "", duration) for duration in learned)
    intervals = PollIntervals(run_times, shortest=1.0, longest=30.0)
    return lambda elapsed: intervals.gap("model", elapsed, 0, webhooks=webhooks)


def _calls_and_delay(durations: Sequence[float], gap: Gap, *, end_by_webhook: bool = False) -> tuple[float, float]:
    """Return the mean number of status calls, and the mean delay in seconds until the end is noticed.

    If a webhook reports the end, no call is needed to find it.
    """
    calls, delay = 0, 0.0
    for duration in durations:
        at = gap(0.0)
        while at < duration:
            calls += 1
            at += gap(at)
        if not end_by_webhook:
            calls += 1
            delay += at - duration
    return calls / len(durations), delay / len(durations)
