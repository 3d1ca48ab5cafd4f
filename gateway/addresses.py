"""Which addresses may be called: those of the public internet, and networks that the operator named.

`ip_address(x).is_global` is no such check: it lets through NAT64 and 6to4 forms of private addresses, multicast and
site-local ones. So what is refused is listed, IPv4 inside IPv6 is looked at as what it is, and of IPv6 only what is
given out (2000::/3) counts as public. Sources: the IANA special-purpose address registries (RFC 6890 and its updates).
"""

import ipaddress
import re
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
    """Whether the address may be called. `networks` are the operator's, and go before all that is refused."""
    try:
        address = parsed(text)
    except ValueError:
        return False  # with a zone, too
    return named(address, networks) or public(address)


def parsed(text: str) -> Address:
    """The address of a text as what it is. Raises ValueError."""
    return plain(ipaddress.ip_address(text))


def named(address: Address, networks: Sequence[Network]) -> bool:
    """Whether it is in one of the networks."""
    return any(address in network for network in networks if network.version == address.version)


def public(address: Address) -> bool:
    """Whether it is one of the internet's, and of no special purpose."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in REFUSED_V4)
    return address in PUBLIC_V6 and not any(address in network for network in REFUSED_V6)


def plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one only wraps, in whatever way; else itself. Raises ValueError for zones."""
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


def literal(host: str) -> Address | None:
    """The address that a URL's host is; None for a name. Raises ValueError for a number that is no usual address.

    The system would take "127.1", "2130706433" and "0x7f000001" for 127.0.0.1.
    """
    if ":" in host:
        return ipaddress.ip_address(host)
    last = host.rstrip(".").rpartition(".")[2]
    if re.fullmatch(r"[0-9]+|0[xX][0-9A-Fa-f]*", last):
        return IPv4Address(host)
    return None
