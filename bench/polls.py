"""Status calls per generation and the delay until its end is noticed, compared with the loops of the official SDKs.

Only the schedules are compared: they are simulated on one trace of durations, and calls take no time. The gateway
learns from the first 300 durations and is measured on the others.
"""

import math
import random
from collections.abc import Callable, Sequence

from bench.figures import Figure, at_most, ratio, value
from bench.load import Effort
from gateway.generations.pace import REMEMBERED, Paces

SEED = 20_261_120
MEASURED = 4000
PYTHON_SDK, JS_SDK = 0.5, 2.0
"""Seconds between the polls of the official SDKs (upstream.md 9)."""
TRACES = {"images": (12.0, 0.5, 6.0, 1.0), "videos": (90.0, 0.6, 16.0, 3.0)}
"""Median and sigma of log-normal durations, and the goals: status calls, and the mean delay in seconds."""
WEBHOOK_CALLS = 0.3

Gap = Callable[[float], float]


async def run(effort: Effort) -> list[Figure]:
    """Simulate each trace with and without webhooks."""
    figures = []
    for name, (median, sigma, calls_goal, delay_goal) in TRACES.items():
        trace = _trace(median, sigma)
        learned, measured = trace[:REMEMBERED], trace[REMEMBERED:]
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
        ]
    return figures


def _trace(median: float, sigma: float) -> list[float]:
    source = random.Random(SEED)
    return [source.lognormvariate(math.log(median), sigma) for _ in range(REMEMBERED + MEASURED)]


def _gateway(learned: Sequence[float], *, webhooks: bool) -> Gap:
    """Return the gateway's schedule with its default bounds."""
    paces = Paces(shortest=1.0, longest=30.0)
    paces.learn_all(("model", duration) for duration in learned)
    return lambda elapsed: paces.gap("model", elapsed, 0, webhooks=webhooks)


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
