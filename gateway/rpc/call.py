"""The context of a call that handlers receive, independent of the transport."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.access.identity import ANONYMOUS, Access, Identity
from gateway.generations.model import Generation
from gateway.generations.stores import Filter
from gateway.rpc.limits.call_limits import Place

MARGIN, MARGIN_SHARE = 0.1, 0.05
"""The time that is left for a response: so many seconds, or this share of the time to the deadline if that is more."""


@dataclass(slots=True)
class Call:
    """One call. Its `deadline` is a time of `time.monotonic`. If `access` is None, no credentials are checked."""

    method: str
    deadline: float | None
    identity: Identity = ANONYMOUS
    access: Access | None = None
    place: Place | None = None
    """The place that the call holds; None if calls are not limited."""
    forwarded: Mapping[str, str] = field(default_factory=dict)
    """The caller's headers that a submission passes on to Higgsfield."""
    authorization: str = ""
    """The credentials, with which a replica forwards the call; empty in a gateway that forwards none."""
    of_replica: bool = False
    """Whether another replica has forwarded the call, so that it must not be forwarded again."""

    @property
    def tenant(self) -> str:
        """The tenant of the caller."""
        return self.identity.tenant

    @property
    def within(self) -> Filter | None:
        """The filter of the caller's watch token: other generations do not exist for this call. None without one."""
        return self.identity.within

    def sees(self, generation: Generation) -> bool:
        """Return whether the tenant's generation exists for this call."""
        within = self.identity.within
        return within is None or within.matches(generation)

    def start_waiting(self, kept: int = 0) -> None:
        """Exchange the call's place for one in `waiting`, before it waits for an event. Raises GATEWAY_OVERLOADED.

        `kept` is the number of bytes of the request that stay in memory while the call waits.
        """
        if self.place is not None:
            self.place.start_waiting(self.identity, kept)

    def try_start_waiting(self) -> bool:
        """Exchange the place as `start_waiting` does, but return False if the caller has too many waiting calls."""
        return self.place is None or self.place.try_start_waiting(self.identity)

    @property
    def remaining(self) -> float | None:
        """The seconds to the deadline; None without one."""
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)

    def within_deadline(self, seconds: float) -> float:
        """Return the seconds that the call may wait from now on.

        They are as wanted, but short enough to respond before the deadline.
        """
        remaining = self.remaining
        if remaining is None:
            return seconds
        return max(min(seconds, remaining - max(MARGIN, remaining * MARGIN_SHARE)), 0.0)

    def check(self) -> None:
        """Raise INVALID_CREDENTIALS or GATEWAY_UNAVAILABLE if the caller's credentials are no longer valid.

        Long calls repeat this check.
        """
        if self.access is not None:
            self.access.check(self.identity, begun=True)
