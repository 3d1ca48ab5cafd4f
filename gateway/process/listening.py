"""Listening sockets for the addresses of settings."""

import contextlib
import socket
import sys

from gateway.settings.config import PREFIX, SettingError
from gateway.settings.values import Address

USER_TIMEOUT = 60
"""Seconds after which a connection fails if its client acknowledges or reads nothing of what was sent. The system's
default is a quarter of an hour."""
KEEPALIVE_IDLE = 60
"""Seconds of silence after which the system probes a connection. By default it never does."""
KEEPALIVE_INTERVAL = 15
"""Seconds between the probes."""


def listen(name: str, address: Address, *, shared: bool = False) -> socket.socket:
    """Return a listening socket for the address of a setting. Raises SettingError.

    With `shared`, other processes of the same user may listen on the address too, if they also share it. The kernel
    distributes the connections over them.
    """
    listening = _bind(name, address, shared=shared, listens=True)
    listening.setblocking(False)
    return listening


def check_free(name: str, address: Address) -> None:
    """Raise SettingError if the address cannot be bound now."""
    listen(name, address).close()


def reserve(name: str, address: Address) -> socket.socket:
    """Return a socket that keeps an address for processes that share it. Raises SettingError if it is in use.

    The socket does not listen, so it gets no connections.
    """
    check_free(name, address)
    return _bind(name, address, shared=True, listens=False)


def reachable_at(host: str, port: int) -> Address:
    """Return the address at which other replicas reach a port that listens on a host.

    If that is every address of this machine, its host name decides; HFGATEWAY_REPLICA_ADDRESS replaces it.
    """
    every = {"0.0.0.0": socket.AF_INET, "::": socket.AF_UNSPEC}  # noqa: S104 - compared, not bound
    if host in every:
        with contextlib.suppress(OSError):
            host = str(socket.getaddrinfo(socket.gethostname(), port, every[host])[0][4][0])
    return Address(host, port)


def _detect_dead_clients(listening: socket.socket) -> None:
    """Let the system close connections whose clients are gone. Accepted connections inherit the listener's options."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        # TCP_USER_TIMEOUT, in ms, overrides the number of probes.
        for option, value in (
            (socket.TCP_USER_TIMEOUT, USER_TIMEOUT * 1000),
            (socket.TCP_KEEPIDLE, KEEPALIVE_IDLE),
            (socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL),
        ):
            listening.setsockopt(socket.IPPROTO_TCP, option, value)


def _bind(name: str, address: Address, *, shared: bool, listens: bool) -> socket.socket:
    bound = None
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, _, _, _, place = min(found, key=lambda one: one[0] != socket.AF_INET)  # a name may have both
        # asyncio disables Nagle's algorithm only if the socket's protocol is TCP.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(place)
        if listens:
            _detect_dead_clients(bound)
            bound.listen(1024)
    except (OSError, UnicodeError) as error:
        if bound is not None:
            bound.close()
        why = error.strerror if isinstance(error, OSError) else "no name in DNS"
        raise SettingError(PREFIX + name, f"{address} cannot be used ({why})") from error
    return bound
