"""The address and the API key of a client: their defaults from the environment, and checks that need no connection."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

DEFAULT_ADDRESS = "127.0.0.1:50051"
_VISIBLE = re.compile(r"[\x21-\x7e]*")


def address_or_default(address: str | None) -> str:
    """Return the address, or HFGATEWAY_ADDRESS, or the default address of a gateway on this machine."""
    return address or os.environ.get("HFGATEWAY_ADDRESS") or DEFAULT_ADDRESS


def checked_key(api_key: str | None) -> str:
    """Return the API key, or HFGATEWAY_API_KEY, or "" for none.

    Raises:
        ValueError: The key contains characters other than visible ASCII. The message does not contain the key.
    """
    key = os.environ.get("HFGATEWAY_API_KEY", "") if api_key is None else api_key
    if not _VISIBLE.fullmatch(key):
        raise ValueError("the API key contains a line break, a space or another character that is not visible ASCII")
    return key


def require_secrecy(address: str, api_key: str) -> None:
    """Refuse to send a key in plaintext to another machine.

    Raises:
        ValueError: There is a key, and the address is not a loopback address.
    """
    if api_key and not is_loopback(address):
        raise ValueError(f"the API key would be sent to {address} in plaintext: set tls, or insecure=True to allow it")


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach a gRPC address."""
    if address.startswith("unix"):
        return True
    target = re.sub(r"^(dns|ipv4|ipv6):", "", address).rpartition("/")[2]
    try:
        host = urlsplit(f"//{target}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
