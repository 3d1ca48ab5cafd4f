"""Decides which IP addresses a URL of a caller may lead to: public ones, and the networks that the operator allowed.

This is the protection against SSRF. `ip_address(x).is_global` is not enough: it accepts multicast, site-local and the
NAT64 and 6to4 forms of private addresses. Instead this module lists the refused networks, unwraps IPv4 addresses that
are embedded in IPv6, and accepts only allocated IPv6 space (2000::/3). Sources: the IANA special-purpose address
registries (RFC 6890 and its updates).
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
PUBLIC_V6 = IPv6Network("2000::/3")
REFUSED_V6 = tuple(
    IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20")
)  # fmt: skip
NAT64 = IPv6Network("64:ff9b::/96")
SIX_TO_FOUR = IPv6Network("2002::/16")
COMPATIBLE = IPv6Network("::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def allowed(text: str, networks: Sequence[Network]) -> bool:
    """Return whether an address may be called. `networks` are allowed even if they are not public."""
    try:
        address = parse(text)
    except ValueError:
        return False  # no address, or one with a zone
    return in_networks(address, networks) or public(address)


def parse(text: str) -> Address:
    """Parse an address and unwrap it as `unwrapped` does. Raises ValueError."""
    return unwrapped(ipaddress.ip_address(text))


def in_networks(address: Address, networks: Sequence[Network]) -> bool:
    """Return whether the address is in one of the networks."""
    return any(address in network for network in networks if network.version == address.version)


def public(address: Address) -> bool:
    """Return whether the address is public, that is, in no special-purpose network."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in REFUSED_V4)
    return address in PUBLIC_V6 and not any(address in network for network in REFUSED_V6)


def unwrapped(address: Address) -> Address:
    """Return the IPv4 address that is embedded in an IPv6 address (mapped, compatible, NAT64, 6to4 or ISATAP).

    Any other address is returned unchanged. Raises ValueError if the address has a zone.
    """
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        raise ValueError("has a zone")
    number = int(address)
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64 or (address in COMPATIBLE and number > 0xFFFF):
        return IPv4Address(number & 0xFFFF_FFFF)
    if address in SIX_TO_FOUR:
        return IPv4Address(number >> 80 & 0xFFFF_FFFF)
    if number >> 32 & 0xFFFF_FFFF in _ISATAP:
        return IPv4Address(number & 0xFFFF_FFFF)
    return address


def resolve(host: str) -> list[str]:
    """Look up the addresses of a host, each once. Raises OSError. Blocks."""
    entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def literal(host: str) -> Address | None:
    """Return the address if a URL's host is one; None if it is a name.

    Raises ValueError for other numeric forms: the system's resolver would accept "127.1", "2130706433" and
    "0x7f000001" as 127.0.0.1.
    """
    if ":" in host:
        return ipaddress.ip_address(host)
    last = host.rstrip(".").rpartition(".")[2]
    if re.fullmatch(r"[0-9]+|0[xX][0-9A-Fa-f]*", last):
        return IPv4Address(host)
    return None
