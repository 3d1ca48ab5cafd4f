"""Free loopback addresses that no other process can get before the test uses them.

The system may give a released port to the next process that asks for any port, and concurrent tests ask all the time.
These ports are outside the range from which the system assigns ports.
"""

from __future__ import annotations

import itertools
import os
import random
import socket

FIRST, EACH, WORKERS = 16_384, 1_024, 16
"""The first port, below those that Linux assigns by default; the ports of each worker; the number of port ranges."""


def free_address(followed_by: int = 0) -> str:
    """Return an address on which no process listens, nor on so many ports behind it."""
    return f"127.0.0.1:{free_port(followed_by)}"


def free_port(followed_by: int = 0) -> int:
    """Return a loopback port on which no process listens, nor on so many ports behind it."""
    return next(port for port in _PORTS if all(map(_is_free, range(port, port + followed_by + 1))))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this option too, so that connections in TIME_WAIT do not prevent a bind.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ports_of_worker() -> list[int]:
    """Return the ports of this worker in random order, because another test run may use the same ports."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    first = FIRST + worker * EACH
    return random.sample(range(first, first + EACH), EACH)


_PORTS = itertools.cycle(_ports_of_worker())
