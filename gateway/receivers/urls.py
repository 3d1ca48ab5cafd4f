"""Which URLs can be a callback's, as far as that can be told without asking anybody for the address."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway import addresses
from gateway.addresses import Network

LONGEST = 2048
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads: its host without brackets. `address`: the host is no name.

    `usual`: its port is one that any receiver may have; another is for networks of the operator only.
    """

    secure: bool
    host: str
    usual: bool
    address: addresses.Address | None


class UnfitError(ValueError):
    """It can be no callback's: why, in words for its owner."""


def place(url: str, networks: Sequence[Network], ports: Sequence[int]) -> Place:
    """Where it leads. Raises UnfitError, also where its host is an address that may not be called."""
    if len(url) > LONGEST:
        raise UnfitError(f"must be at most {LONGEST} characters")
    if not url.isascii() or not all("!" <= c <= "~" and c not in '"<>\\^`{|}' for c in url):
        raise UnfitError("must be a URL in ASCII: percent-encoded, and its host as in DNS (xn--…)")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UnfitError("is not a URL") from None
    if parts.scheme not in {"https", "http"} or not parts.netloc:
        raise UnfitError("must begin with https://")
    if "@" in parts.netloc:
        raise UnfitError("must hold no user and no password")
    if "#" in url:
        raise UnfitError("must have no fragment")
    if port == 0:
        raise UnfitError("has a port that nobody listens on")
    try:
        address = addresses.literal(host)
        known = address is None or addresses.allowed(host, networks)
    except ValueError:
        raise UnfitError("has a host that is neither a name nor an address in its usual form") from None
    if address is None and not _HOST.fullmatch(host):
        raise UnfitError("has no host that is a name in DNS")
    if not known:
        raise UnfitError("leads to an address that this gateway does not call")
    if parts.scheme == "http" and not networks:
        raise UnfitError("must begin with https://")
    if (
        parts.scheme == "http"
        and address is not None
        and not addresses.in_networks(addresses.unwrapped(address), networks)
    ):
        raise UnfitError("must begin with https://")
    usual = (port or (443 if parts.scheme == "https" else 80)) in ports
    if not usual and (
        not networks or (address is not None and not addresses.in_networks(addresses.unwrapped(address), networks))
    ):
        raise UnfitError(f"must have one of the ports {', '.join(map(str, ports))}")
    return Place(parts.scheme == "https", host, usual, address)
