"""Validates the URLs of callbacks, as far as that is possible without resolving their hosts."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from gateway import addresses
from gateway.addresses import Network
from gateway.frozen import frozen

MAX_URL_LENGTH = 2048
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?")


@frozen
class Target:
    """The parts of a valid URL that decide which addresses it may lead to.

    `https`: the scheme; plain http is for private networks only. `host` is without brackets. `common_port`: the port is
    one of `ports`; another one is for private networks only. `address`: the host, if it is an address and not a name.
    """

    https: bool
    host: str
    common_port: bool
    address: addresses.Address | None


class InvalidUrlError(ValueError):
    """The URL cannot be used for a callback. The message says why, and is for the caller."""


def parse(url: str, networks: Sequence[Network], ports: Sequence[int]) -> Target:
    """Validate the URL of a callback.

    `networks` are the private networks that callbacks may reach; there, plain http and any port are allowed. `ports`
    are the ports that are allowed elsewhere. Raises InvalidUrlError, also if the host is an address that may not be
    called.
    """
    if len(url) > MAX_URL_LENGTH:
        raise InvalidUrlError(f"must be at most {MAX_URL_LENGTH} characters")
    if not url.isascii() or not all("!" <= c <= "~" and c not in '"<>\\^`{|}' for c in url):
        raise InvalidUrlError("must be a URL in ASCII, percent-encoded and with its host as in DNS (xn--…)")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        # Python 3.11 takes brackets out of any text, also around a name ("[v1.a]"), which aiohttp then refuses.
        if "[" in parts.netloc and not re.fullmatch(r"\[[^]]*:[^]]*\](:[0-9]*)?", parts.netloc):
            raise ValueError
    except ValueError:
        raise InvalidUrlError("is not a URL") from None
    if parts.scheme not in {"https", "http"} or not parts.netloc:
        raise InvalidUrlError("must start with https://" + (", or http:// in a private network" if networks else ""))
    if "@" in parts.netloc:
        raise InvalidUrlError("must not contain a user or a password")
    if "#" in url:
        raise InvalidUrlError("must not have a fragment")
    if port == 0:
        raise InvalidUrlError("must not have the port 0")
    try:
        address = addresses.literal(host)
        allowed = address is None or addresses.allowed(host, networks)
    except ValueError:
        raise InvalidUrlError("has a host that is neither a name nor an address in its usual form") from None
    if address is None and not _HOST.fullmatch(host):
        raise InvalidUrlError("must have a host that is a name in DNS")
    if not allowed:
        raise InvalidUrlError("leads to an address that this gateway does not call")
    # A name may lead to a private network, if there are some. Its addresses are checked when it is resolved.
    private = bool(networks) if address is None else addresses.in_networks(addresses.unwrapped(address), networks)
    if parts.scheme == "http" and not private:
        raise InvalidUrlError("must start with https://")
    common_port = (port or (443 if parts.scheme == "https" else 80)) in ports
    if not common_port and not private:
        raise InvalidUrlError(f"must have one of the ports {', '.join(map(str, ports))}")
    return Target(parts.scheme == "https", host, common_port, address)
