"""What a handler knows of its call, the same for every transport."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.access.identity import ANONYMOUS, Access, Identity
from gateway.errors import Violation
from gateway.generations.model import Generation
from gateway.generations.ports import Filter
from gateway.rpc.limits import Place

WARNING = "hfgateway-warning"
"""The name of the header that warnings are answered in: of HTTP, of gRPC's initial metadata. One for each."""
MOST_WARNINGS = 10
LONGEST_WARNING = 300


@dataclass(slots=True)
class Call:
    """One call. `remaining`: seconds until its deadline, None without one. `access` None: everybody may everything."""

    method: str
    remaining: float | None
    identity: Identity = ANONYMOUS
    access: Access | None = None
    place: Place | None = None
    """What it holds; None where nothing is bounded."""
    warnings: tuple[str, ...] = ()
    """Warnings that are sent with the answer, in ASCII."""

    @property
    def tenant(self) -> str:
        """Whose generations there are for it."""
        return self.identity.tenant

    @property
    def within(self) -> Filter | None:
        """What else a generation must match to exist for it."""
        return self.identity.within

    def sees(self, generation: Generation) -> bool:
        """Whether the tenant's generation exists for this call."""
        within = self.identity.within
        return within is None or within.matches(generation)

    def waits(self, kept: int = 0) -> None:
        """Only an event is missing from now on: the call makes room for others. Raises GATEWAY_OVERLOADED.

        `kept` is the number of bytes of its request that are kept while it waits.
        """
        if self.place is not None:
            self.place.wait(self.identity, kept)

    def may_wait(self) -> bool:
        """The same; False where the caller has too many calls that wait."""
        return self.place is None or self.place.may_wait(self.identity)

    def warn(self, doubted: Sequence[Violation]) -> None:
        """Tell the caller that these fields may be wrong."""
        told = (f"{one.field}: {one.description}" for one in doubted[:MOST_WARNINGS])
        self.warnings = tuple(text.encode("ascii", "backslashreplace").decode()[:LONGEST_WARNING] for text in told)

    def check(self) -> None:
        """Raise INVALID_CREDENTIALS if the caller's credentials are no longer valid. For calls that last."""
        if self.access is not None:
            self.access.check(self.identity)
