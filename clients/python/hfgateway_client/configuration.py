"""The address and the API key of a client: their defaults from the environment, and checks that need no connection."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from urllib.parse import urlsplit

DEFAULT_ADDRESS = "127.0.0.1:50051"
LAST_PORT = 65535
_VISIBLE = re.compile(r"[\x21-\x7e]*")


def address_or_default(address: str | None) -> str:
    """Return the address, or HFGATEWAY_ADDRESS, or the default address of a gateway on this machine.

    Raises:
        ValueError: See `checked_address`.
    """
    return checked_address(address or os.environ.get("HFGATEWAY_ADDRESS") or DEFAULT_ADDRESS)


def checked_address(address: str) -> str:
    """Return the address.

    Raises:
        ValueError: Its port is above 65535. gRPC would connect to another port, and send the API key there.
    """
    port = address.rpartition(":")[2]
    if not address.startswith("unix") and port.isdecimal() and int(port) > LAST_PORT:
        raise ValueError(f"{address}: its port is above {LAST_PORT}")
    return address


def key_source(api_key: str | Callable[[], str] | None) -> Callable[[], str] | None:
    """Return a function that returns the API key for the next attempt of a call, or None if there is no key.

    Without an argument the key is HFGATEWAY_API_KEY. A key is checked at once, that of a function when it returns.

    Raises:
        ValueError: See `checked_key`.
    """
    if callable(api_key):
        return lambda: checked_key(api_key())
    key = checked_key(os.environ.get("HFGATEWAY_API_KEY", "") if api_key is None else api_key)
    return (lambda: key) if key else None


def checked_key(key: str) -> str:
    """Return the key.

    Raises:
        ValueError: It contains characters other than visible ASCII. The message does not contain the key.
    """
    if not _VISIBLE.fullmatch(key):
        raise ValueError("the API key contains a line break, a space or another character that is not visible ASCII")
    return key


def require_secrecy(address: str) -> None:
    """Refuse to send a key in plaintext to another machine.

    Raises:
        ValueError: The address is not a loopback address.
    """
    if not is_loopback(address):
        raise ValueError(f"the API key would be sent to {address} in plaintext: set tls, or insecure=True to allow it")


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach a gRPC address."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    target = re.sub(r"^(dns|ipv4|ipv6):", "", address).rpartition("/")[2]
    try:
        parts = urlsplit(f"//{target}")
        _ = parts.port  # a ValueError if it is not a number: "ipv4:" takes several addresses
        host = parts.hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
