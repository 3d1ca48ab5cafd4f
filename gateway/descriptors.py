"""File descriptors of this process: how many it may open, and how many of them the connections of each port may take.

Every connection takes one, and so do the store and each call to Higgsfield. Where connections could take all of them,
idle callers would stop everything.
"""

import resource
from dataclasses import dataclass

ENOUGH = 65_536
"""The soft limit that is asked for where the hard one allows it."""


@dataclass(frozen=True, slots=True)
class Connections:
    """The most connections of each port. What is left, a quarter, is for the store, Higgsfield and everything else."""

    grpc: int
    http: int
    webhooks: int


def raise_limit() -> None:
    """Raise the soft limit of this process to what it needs, within its hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections() -> Connections:
    """The shares of the limit as it is now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    eighth = (ENOUGH if soft == resource.RLIM_INFINITY else min(soft, ENOUGH)) // 8
    return Connections(grpc=3 * eighth, http=2 * eighth, webhooks=eighth)
