"""Forecasts of progress and remaining time, computed on read from the queue and from run times of ended generations.

Each forecast names its basis: what the generations with which it was compared have in common.
"""

from gateway.generations.admission.admissions import Admissions
from gateway.generations.model import FOLLOWED, Forecast, Generation
from gateway.generations.ports import Clock
from gateway.generations.run_times import RunTimes
from gateway.generations.watching.feed import Entry

TIMES_PER_SECOND = 10
"""Forecasts are computed for times of this precision, so that those of many calls are equal and encoded once."""


class Forecaster:
    """Computes the forecast of a generation each time it is shown."""

    def __init__(self, clock: Clock, admissions: Admissions, run_times: RunTimes) -> None:
        self._clock = clock
        self._admissions = admissions
        self._run_times = run_times

    def of(self, entry: Entry) -> Forecast | None:
        """Return the forecast of a generation; None if it is neither waiting nor running, or adopted."""
        generation = entry.generation
        spec = generation.spec
        if generation.state not in FOLLOWED:
            return self._waiting(generation) if generation.waiting else None
        if generation.accept_time is None or spec.adopted:
            return None
        similar, basis = self._run_times.similar(spec.model_id, spec.traits)
        running = self._clock.moment().wall - generation.accept_time
        elapsed = max(int(TIMES_PER_SECOND * running), 0) / TIMES_PER_SECOND
        total, progress = similar.expect(elapsed)
        # A newer forecast may expect a later end.
        progress = entry.progress = max(entry.progress, progress)
        remaining = None if total is None else total - elapsed
        return Forecast(progress=progress, remaining=remaining, basis=basis, overdue=total is None)

    def _waiting(self, generation: Generation) -> Forecast | None:
        """Assume that the generations ahead run in rounds of as many as may run at once."""
        admission = self._admissions.of(generation.spec.account)
        position = admission.position(generation.id)
        if not position:
            return None
        similar, basis = self._run_times.similar(generation.spec.model_id, generation.spec.traits)
        at_once = admission.limit(self._clock.moment().steady) or max(admission.running, 1)
        rounds = 1 + (position - 1) // at_once + 1
        return Forecast(queue_position=position, remaining=similar.median * rounds, basis=basis)
