"""Addresses of this machine on which nobody listens, and which nobody else is given meanwhile.

The system gives a port that was let go to the next who asks for any, and while tests run side by side there is always
somebody who does. These are ports that it gives to nobody by itself.
"""

from __future__ import annotations

import itertools
import os
import random
import socket

FIRST, EACH, WORKERS = 16_384, 1_024, 16
"""Below the ports that Linux gives away by itself; so many of them for each worker of a run."""


def free_address() -> str:
    """Where nobody listens, and nobody will before whoever asked does."""
    for port in _PORTS:
        with socket.socket() as probe:
            # As servers do: connections that have ended there are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return f"127.0.0.1:{port}"
    raise AssertionError("endless")


def _ours() -> list[int]:
    """The ports of this process, in an order of its own: another run may be on the same machine."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    first = FIRST + worker * EACH
    return random.sample(range(first, first + EACH), EACH)


_PORTS = itertools.cycle(_ours())
