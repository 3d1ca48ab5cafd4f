"""What tenants have used: generations by outcome, credits, waits and run times, in groups."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.frozen import frozen
from gateway.generations.model import State, Wall

DAY, TENANT, KEY, MODEL, LABEL = "day", "tenant", "key", "model", "label:"
"""The names by which usage is grouped; the last one is followed by the name of a label."""
MAX_GROUPS = 10_000


@frozen
class UsageQuery:
    """Which generations are counted, by the wall time of their submission, and how they are grouped.

    `tenant` is empty for all. `by` are names of groups, in their order, with at most one label.
    """

    since: Wall
    until: Wall
    tenant: str
    by: Sequence[str]

    @property
    def label(self) -> str:
        """The label by whose values usage is grouped, or ""."""
        return next((name.removeprefix(LABEL) for name in self.by if name.startswith(LABEL)), "")


class UsageRow(NamedTuple):
    """The generations of one group in one state. Credits are millionths, all else but counts are seconds.

    Attributes by which the query does not group are empty. `priced` generations have a price, because a budget applied
    to them; `credits` is its sum. `waited` is the time from submission to start (or acceptance, if the start was not
    seen) of `waits` generations, and `ran` the time from there to the end of `runs` completed ones.
    """

    day: str
    tenant: str
    key: str
    model: str
    label: str
    state: State
    generations: int
    priced: int
    credits: int
    waits: int
    waited: float
    runs: int
    ran: float

    def group(self, query: UsageQuery) -> tuple[str, ...]:
        """Return the values of the query's groups."""
        values = {DAY: self.day, TENANT: self.tenant, KEY: self.key, MODEL: self.model}
        return tuple(self.label if name.startswith(LABEL) else values[name] for name in query.by)
