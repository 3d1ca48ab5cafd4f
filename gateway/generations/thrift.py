"""Fewer status calls while the processor has no time left: what is new is worth more than an end noticed sooner.

Without this, a busy gateway would refuse submissions and go on asking for the status of all it has as often as ever: in
a full life of a generation the status calls are the larger part.
"""

MOST = 3.0
"""How many times longer the gaps between polls become at most."""
GROWS, SHRINKS = 1.1, 0.95
"""From one measurement to the next."""
BUSY, FREE = 0.9, 0.75
"""Shares of its processor's time that the event loop used: longer gaps from the first on, shorter below the second."""
OVER = 10
"""Measurements over which the share is reckoned, about: a burst is no reason yet."""


class Thrift:
    """Feels how busy the event loop is. `stretch` says how many times longer gaps between polls are now."""

    def __init__(self) -> None:
        self.stretch = 1.0
        self._share = 0.0

    def feel(self, share: float) -> None:
        """One measurement: of the time since the last one, the event loop worked for this share."""
        self._share += (min(share, 1.0) - self._share) / OVER
        if self._share >= BUSY:
            self.stretch = min(self.stretch * GROWS, MOST)
        elif self._share < FREE:
            self.stretch = max(self.stretch * SHRINKS, 1.0)
