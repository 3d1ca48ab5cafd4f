"""The values of settings, and the functions that read them from texts. These raise ValueError without the text."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from decimal import Decimal
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, unquote_to_bytes, urlsplit

from gateway.addresses import Network
from gateway.frozen import frozen

LAST_PORT = 65535
MAX_DURATION = 36_500 * 86_400.0
MAX_NUMBER = 10**15
"""More than any limit needs, and less than what the databases can store."""


@frozen
class Address:
    """A host and a port to listen on; port 0 picks a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback_host(self.host)

    def overlaps(self, other: "Address") -> bool:
        """Return whether two sockets cannot listen on the addresses. A name is not looked up."""
        hosts = {self.host, other.host}
        every = "::" in hosts or ("0.0.0.0" in hosts and not any(":" in host for host in hosts))  # noqa: S104 - compared
        return self.port == other.port != 0 and (every or self.host == other.host)


def is_loopback_host(host: str) -> bool:
    """Return whether a host is a loopback address, or `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@frozen
class PostgresUrl:
    """The URL of a PostgreSQL database. Its text has no password and no query."""

    url: str = field(repr=False)

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        user, at, hosts = parts.netloc.rpartition("@")
        return f"postgresql://{user.partition(':')[0]}{at}{hosts}{parts.path}"


@frozen
class Proxy:
    """An HTTP proxy for https URLs, except those whose hosts `excluded` lists. Its text has no user and no password."""

    url: str = field(repr=False)
    excluded: str

    def __str__(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def for_url(self, url: str) -> str | None:
        """Return the URL of the proxy; None if a URL is to be reached without it."""
        parts = urlsplit(url)
        if parts.scheme != "https":
            return None
        host = parts.hostname or ""
        names = [name.strip().lower().removeprefix("*.").lstrip(".") for name in self.excluded.split(",")]
        direct = "*" in names or any(name and (host == name or host.endswith(f".{name}")) for name in names)
        return None if direct else self.url


ProxyFor = Callable[[str], str | None]
"""Returns the URL of the proxy on the way to a URL; None if there is none."""


def no_proxy(url: str) -> str | None:
    return None


Store = Path | PostgresUrl
"""Where the gateway stores everything: a SQLite file, or a database of a PostgreSQL server."""


def split_list(text: str) -> list[str]:
    """Return the parts of a text that are separated by commas or spaces."""
    return text.replace(",", " ").split()


def parse_address(text: str) -> Address:
    """Read HOST:PORT. Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", text)
    if not match or int(match[3]) > LAST_PORT:
        raise ValueError("must be HOST:PORT, with an IPv6 address in brackets")
    return Address(match[1] or match[2], int(match[3]))


_NO_URL = "must be an http or https URL without user, query or fragment"


def _url(text: str) -> SplitResult:
    # Match before splitting: an error message of urlsplit would contain the value.
    part = "[A-Za-z0-9-]{1,63}"  # Python cannot look up a name with an empty or a longer part
    host = rf"\[[0-9A-Fa-f:.]+\]|({part}\.)*{part}\.?"
    match = re.fullmatch(rf"https?://(?:{host})(?::(?P<port>[0-9]{{1,5}}))?(/.*)?", text)
    if not match or int(match["port"] or 0) > LAST_PORT or "?" in text or "#" in text or not text.isprintable():
        raise ValueError(_NO_URL)
    try:
        return urlsplit(text)
    except ValueError:  # for example [1:2:3], which is no IPv6 address
        raise ValueError(_NO_URL) from None


def parse_upstream_url(text: str) -> str:
    parts = _url(text)
    if parts.path not in {"", "/"}:
        raise ValueError("must have no path")
    if parts.scheme == "http" and not is_loopback_host(parts.hostname or ""):
        raise ValueError("must be https, because credentials are sent there; http is allowed for this machine only")
    return f"{parts.scheme}://{parts.netloc}"


def parse_proxy(url: str, excluded: str) -> Proxy | None:
    """Read the values of HTTPS_PROXY and NO_PROXY, as curl and httpx do. Raises ValueError."""
    if not url:
        return None
    user = r"(?:(?!%3[Aa])[^\s:/?#@\[\]])+"  # a colon would end it (RFC 7617), and aiohttp refuses to send one
    host = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    match = re.fullmatch(rf"(http://)?(?:{user}(?::[^\s:/?#@\[\]]*)?@)?{host}(?::([0-9]{{1,5}}))?/?", url)
    if not match or int(match[2] or 1) not in range(1, LAST_PORT + 1):
        raise ValueError(
            "must be http://USER:PASSWORD@HOST:PORT, without a colon in the user, "
            "and with special characters of the password as %XX"
        )
    credentials, at, address = url.removeprefix("http://").rpartition("@")
    return Proxy(f"http://{_in_latin1(credentials)}{at}{address}", excluded)


def _in_latin1(credentials: str) -> str:
    """Return the credentials of a proxy's URL so that aiohttp sends their bytes: it encodes characters in Latin-1."""
    parts = (unquote_to_bytes(part.encode(errors="surrogateescape")) for part in credentials.split(":"))
    return ":".join(quote(part.decode("latin-1"), safe="") for part in parts)


def parse_optional_url(text: str) -> str | None:
    return _url(text).geturl().rstrip("/") if text else None


def parse_issuer(text: str) -> str | None:
    """Read the URL of an issuer exactly as its tokens name it."""
    if not text:
        return None
    parts = _url(text)
    if parts.scheme == "http" and not is_loopback_host(parts.hostname or ""):
        raise ValueError("must be https, because the keys of tokens come from there")
    return text


def parse_word(text: str) -> str:
    if not text.isprintable() or " " in text:
        raise ValueError("must be one word")
    return text


def parse_optional_address(text: str) -> Address | None:
    return parse_address(text) if text else None


def parse_optional_destination(text: str) -> Address | None:
    """Read an address that others connect to, or nothing. Raises ValueError."""
    address = parse_optional_address(text)
    if address is not None and (not address.port or address.host in {"0.0.0.0", "::"}):  # noqa: S104 - compared
        raise ValueError("must have a host and a port that others can connect to")
    return address


def parse_webhook_secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(split_list(text))
    # The base64 of 16 to 75 bytes.
    form = r"whsec_(?=.{24,100}$)([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
    if not all(re.fullmatch(form, secret) for secret in secrets):
        raise ValueError("must be whsec_ and base64; several are separated by commas")
    return secrets


def parse_encryption_keys(text: str) -> tuple[str, ...]:
    keys = tuple(split_list(text))
    if not all(re.fullmatch("[A-Za-z0-9_-]{43}=", key) for key in keys):
        raise ValueError("must be keys of hfgateway accounts new-key, separated by commas")
    return keys


def parse_networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in split_list(text))
    except ValueError:
        raise ValueError("must be networks such as 10.20.0.0/16, separated by commas") from None


def parse_ports(text: str) -> tuple[int, ...]:
    parts = split_list(text)
    if not all(part.isascii() and part.isdecimal() and len(part) <= 5 and 0 < int(part) <= LAST_PORT for part in parts):
        raise ValueError("must be port numbers such as 443 8443")
    return tuple(map(int, parts))


def parse_store(text: str) -> Store:
    if text.startswith(("postgresql://", "postgres://")):
        # The user and the password must be encoded: otherwise libpq takes a part of the password for a host or for a
        # parameter, and names it in its messages.
        host = r"(?:[A-Za-z0-9.:_-]|\[[0-9A-Fa-f:.]+\])*"
        form = rf"postgres(ql)?://([^\s:/?#@\[\]]+(:[^\s:/?#@\[\]]*)?@)?{host}(,{host})*(/[^\s/?#@]*)?(\?[^\s#@]*)?"
        if not re.fullmatch(form, text) or re.search(r"%(?![0-9A-Fa-f]{2})|%00", text) or not _is_utf8(text):
            raise ValueError(
                "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS, "
                "with special characters of the password as %XX in UTF-8"
            )
        return PostgresUrl(text)
    if not text.startswith("sqlite:///") or len(text) == len("sqlite:///"):
        raise ValueError("must be sqlite:///FILE (relative), sqlite:////FILE (absolute), or postgresql://...")
    # Resolve links, so that the lock and the WAL beside the file are the same for every path to it.
    return Path(text.removeprefix("sqlite:///")).resolve()


def _is_utf8(url: str) -> bool:
    """Return whether psycopg can read a URL: its characters, and the bytes that it has as %XX."""
    try:
        unquote(url, errors="strict").encode()
    except UnicodeError:
        return False
    return True


def parse_prices(text: str) -> Mapping[str, Decimal]:
    prices: dict[str, Decimal] = {}
    for part in split_list(text):
        match = re.fullmatch(r"([a-z0-9][a-z0-9./_-]*)=(\d{1,9}(?:\.\d{1,6})?)", part)
        if not match:
            raise ValueError("must be PREFIX=CREDITS, such as bytedance/seedance-2.5=12.5, separated by commas")
        if prices.setdefault(match[1], Decimal(match[2])) != Decimal(match[2]):
            raise ValueError("has two prices for one prefix")
    return prices


@frozen
class Seconds:
    """Reads a duration of at least `minimum` seconds. Raises ValueError."""

    minimum: float

    @property
    def allowed(self) -> str:
        return f"at least {self.minimum:g} s" if self.minimum else "0 or more"

    def __call__(self, text: str) -> float:
        units = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
        match = re.fullmatch(r"(-?\d+(?:\.\d+)?)([smhd]?)", text)
        if not match:
            raise ValueError("must be a number of seconds, or a number followed by s, m, h or d")
        value = float(match[1]) * units[match[2]]
        if value < self.minimum:
            raise ValueError(f"must be {self.allowed}")
        if value > MAX_DURATION:
            raise ValueError("must be at most 36500d")
        return value


@frozen
class Number:
    """Reads a whole number of at least `minimum`. Raises ValueError."""

    minimum: int

    @property
    def allowed(self) -> str:
        return f"{self.minimum} or more"

    def __call__(self, text: str) -> int:
        if not text.isdecimal() or int(text) < self.minimum:
            raise ValueError(f"must be a whole number, {self.allowed}")
        if int(text) > MAX_NUMBER:
            raise ValueError(f"must be at most {MAX_NUMBER}")
        return int(text)


def parse_archive_url(text: str) -> str | None:
    # The result is canonical, because stored copies refer to their archive by its URL.
    if not text:
        return None
    bucket = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9._/-]*)?"
    if re.fullmatch(r"file:///[^?#\s]+", text) and text.isprintable():
        folder = Path(unquote(urlsplit(text).path))
        if ".." not in folder.parts:
            return folder.as_uri()
    elif re.fullmatch(bucket, text) and not {"", ".", ".."} & set(text.rstrip("/").split("/")[3:]):
        return text.rstrip("/")
    raise ValueError("must be file:///FOLDER (absolute) or s3://BUCKET/PREFIX")


class OneOf:
    """Reads one of some words. Raises ValueError."""

    def __init__(self, *values: str) -> None:
        self._values = values

    @property
    def allowed(self) -> str:
        return ", ".join(value for value in self._values if value)

    def __call__(self, text: str) -> str:
        if text not in self._values:
            raise ValueError(f"must be one of {self.allowed}")
        return text


class OnOrOff:
    """Reads a switch. Raises ValueError."""

    allowed = "on, off"

    def __call__(self, text: str) -> bool:
        return OneOf("on", "off")(text) == "on"


def parse_optional_file(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text)
    try:
        found = path.is_file()
    except OSError:  # its message contains the value, which may be the content of the file by mistake
        found = False
    if not found:
        raise ValueError("is not a readable file")
    return path


_ORIGIN = re.compile(r"(http(?!.*:80$)|https(?!.*:443$))://[a-z0-9._\[\]:-]+")
"""An origin in the form that browsers send. Another form would equal no Origin header."""


def parse_origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.rstrip("/") for part in split_list(text))
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                "must be origins such as https://app.example.com, separated by commas or spaces, as browsers send "
                "them: in lower case, without the port 443 of https or 80 of http, and international names as xn--…"
            )
    return origins


_NEVER_FORWARDED = re.compile(
    r"authorization|connection|cookie|date|expect|host|idempotency-key|te|trailer|traceparent|tracestate|upgrade|user-agent|via"
    r"|(accept|connect|content|forwarded|grpc|hf|keep|proxy|sec|transfer|webhook|x-forwarded)(-.*)?|.*-bin"
)
"""Headers of connections and of the gateway's own requests, and secrets."""


def parse_forwarded_headers(text: str) -> frozenset[str]:
    names = frozenset(split_list(text.lower()))
    if not all(
        re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,99}", name) and not _NEVER_FORWARDED.fullmatch(name) for name in names
    ):
        raise ValueError("must be names of headers, separated by commas, without those that HTTP or the gateway uses")
    return names
