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


def free_address() -> str:
    """Return an address on which no process listens."""
    return f"127.0.0.1:{free_port()}"


def free_port() -> int:
    """Return a loopback port on which no process listens."""
    for port in _PORTS:
        with socket.socket() as probe:
            # Servers set this option too, so that connections in TIME_WAIT do not prevent a bind.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("unreachable: itertools.cycle does not end")


def _ports_of_worker() -> list[int]:
    """Return the ports of this worker in random order, because another test run may use the same ports."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    first = FIRST + worker * EACH
    return random.sample(range(first, first + EACH), EACH)


_PORTS = itertools.cycle(_ports_of_worker())
