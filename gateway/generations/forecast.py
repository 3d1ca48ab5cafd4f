"""Forecasts of progress and remaining time, computed on read from the queue and the history of the model."""

from gateway.generations.admission import Admission
from gateway.generations.model import FOLLOWED, Forecast, Generation
from gateway.generations.pace import Paces
from gateway.generations.ports import Clock


class Forecaster:
    """Computes forecasts."""

    def __init__(self, clock: Clock, admission: Admission, paces: Paces) -> None:
        self._clock = clock
        self._admission = admission
        self._paces = paces

    def of(self, generation: Generation) -> Forecast | None:
        """Return the forecast of a generation; None without enough history."""
        if generation.waiting:
            return self._waiting(generation)
        known = self._paces.known(generation.spec.model_id)
        if generation.state not in FOLLOWED or generation.accept_time is None or known is None:
            return None
        elapsed = max(self._clock.moment().wall - generation.accept_time, 0.0)
        total = known.total(elapsed)
        remaining = None if total is None else total - elapsed
        return Forecast(progress=known.progress(elapsed), remaining=remaining)

    def _waiting(self, generation: Generation) -> Forecast | None:
        """Assume that the generations ahead run in rounds of as many as may run at once."""
        position = self._admission.position(generation.id)
        if not position:
            return None
        known = self._paces.known(generation.spec.model_id)
        typical = None if known is None else known.total(0.0)
        if typical is None:
            return Forecast(queue_position=position)
        at_once = self._admission.limit(self._clock.moment().steady) or max(self._admission.running, 1)
        return Forecast(queue_position=position, remaining=typical * (1 + (position - 1) // at_once + 1))
