"""Limits the file descriptors of this process, and the share of each port's connections.

Each connection uses a descriptor, and so do the store and each call to Higgsfield. Without limits, idle callers could
use all of them and stop the gateway.
"""

import resource

from gateway.frozen import frozen

WANTED_LIMIT = 65_536
"""The soft limit that is set if the hard limit allows it."""


@frozen
class ConnectionLimits:
    """The most connections of each port. The remaining quarter is for the store, Higgsfield and everything else."""

    grpc: int
    http: int
    webhooks: int


def raise_limit() -> None:
    """Raise the soft limit of open files to WANTED_LIMIT, or to the hard limit if that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_LIMIT if hard == resource.RLIM_INFINITY else min(WANTED_LIMIT, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connection_limits() -> ConnectionLimits:
    """Return the share of each port in the current soft limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    eighth = (WANTED_LIMIT if soft == resource.RLIM_INFINITY else min(soft, WANTED_LIMIT)) // 8
    return ConnectionLimits(grpc=3 * eighth, http=2 * eighth, webhooks=eighth)
