"""The settings: one table of names, defaults and meanings; read from the environment, or from a TOML file."""

import ipaddress
import re
import ssl
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

PREFIX = "HFGATEWAY_"
WEBHOOK_PATH = "/webhooks/higgsfield/"
"""The path of webhooks on the port that takes them; each generation's token follows."""
LONGEST = 36_500 * 86_400.0


class SettingError(ValueError):
    """A setting is wrong: one line that names it, and never a secret value."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(" ".join(f"{name}: {why}".split()))


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to listen on; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, read and checked together. Times in seconds."""

    grpc_address: Address
    http_address: Address
    upstream_url: str
    upstream_idempotency: str
    upstream_idempotency_window: float
    upstream_timeout: float
    upstream_concurrency: int
    store_path: Path
    public_url: str | None
    webhook_address: Address | None
    webhook_secrets: tuple[str, ...]
    callback_networks: tuple[Network, ...]
    callback_ports: tuple[int, ...]
    poll_min: float
    poll_max: float
    uncertain_timeout: float
    retention: float
    auth: str
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    drain: float
    allowed_origins: tuple[str, ...]
    mcp: bool
    archive_url: str | None
    archive_public_url: str | None
    archive_bandwidth: int
    archive_concurrency: int
    archive_largest: int
    log_format: str
    log_level: str
    warnings: tuple[str, ...] = field(default=())

    @property
    def upstream_is_local(self) -> bool:
        """Whether Higgsfield is a sandbox on this machine."""
        return Address(urlsplit(self.upstream_url).hostname or "", 0).loopback


def read_settings(environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """The settings of an environment, with those of a TOML file behind them. Raises SettingError."""
    given = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
    warnings = tuple(f"{name}: is no setting of this gateway" for name in sorted(given) if name not in KNOWN)
    texts = _file_settings(file) | {name: text for name, text in given.items() if name in TABLE}
    values = {row.attribute: row.read(PREFIX + name, texts) for name, row in _ROWS.items()}
    local = values["grpc_address"].loopback and values["http_address"].loopback
    values["auth"] = values["auth"] or ("none" if local else "keys")
    settings = Settings(**values, warnings=warnings)
    _check_together(settings)
    return settings


@dataclass(frozen=True, slots=True)
class _Row:
    """One setting."""

    attribute: str
    default: str
    parse: Callable[[str], Any]
    meaning: str

    def read(self, name: str, texts: Mapping[str, str]) -> Any:
        text = texts.get(name, "").strip()
        try:
            return self.parse(text or self.default)
        except ValueError as error:
            raise SettingError(name, str(error)) from error


def _address(text: str) -> Address:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", text)
    if not match or int(match[3]) > 65535:
        raise ValueError("must be HOST:PORT, an IPv6 address in brackets")
    return Address(match[1] or match[2], int(match[3]))


def _url(text: str) -> SplitResult:
    """An http or https URL; checked before it is split, for what urlsplit says of a wrong one repeats it."""
    match = re.fullmatch(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(/.*)?", text)
    if not match or int(match[1] or 0) > 65535 or "?" in text or "#" in text or not text.isprintable():
        raise ValueError("must be an http or https URL without user, query or fragment")
    return urlsplit(text)


def _upstream_url(text: str) -> str:
    parts = _url(text)
    if parts.path not in {"", "/"}:
        raise ValueError("must have no path")
    if parts.scheme == "http" and not Address(parts.hostname or "", 0).loopback:
        raise ValueError("must be https, for credentials go there (http only to this machine)")
    return f"{parts.scheme}://{parts.netloc}"


def _public_url(text: str) -> str | None:
    return _url(text).geturl().rstrip("/") if text else None


def _maybe_address(text: str) -> Address | None:
    return _address(text) if text else None


def _words(text: str) -> tuple[str, ...]:
    words = tuple(text.replace(",", " ").split())
    # Whole base64 of 16 to 75 bytes: what can be a key of a signature.
    key = r"whsec_(?=.{24,100}$)([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
    if not all(re.fullmatch(key, word) for word in words):
        raise ValueError("must be whsec_ and base64; two of them, joined by a comma, while it is rotated")
    return words


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise ValueError("must be networks such as 10.20.0.0/16, joined by commas") from None


def _ports(text: str) -> tuple[int, ...]:
    parts = text.replace(",", " ").split()
    if not all(part.isascii() and part.isdecimal() and len(part) <= 5 and 0 < int(part) < 65536 for part in parts):
        raise ValueError("must be ports such as 443 8443")
    return tuple(map(int, parts))


def _store(text: str) -> Path:
    if text.startswith(("postgresql://", "postgres://")):
        raise ValueError("PostgreSQL is not supported yet; use sqlite:///FILE")
    if not text.startswith("sqlite:///") or len(text) == len("sqlite:///"):
        raise ValueError("must be sqlite:///FILE (relative) or sqlite:////FILE (absolute)")
    # By its one real name: what lies beside the file is found there, whatever link leads to it.
    return Path(text.removeprefix("sqlite:///")).resolve()


def _seconds(least: float) -> Callable[[str], float]:
    units = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

    def parse(text: str) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
        if not match:
            raise ValueError("must be a number of seconds, or one with s, m, h or d behind it")
        value = float(match[1]) * units[match[2]]
        if value < least:
            raise ValueError(f"must be at least {least:g} s")
        if value > LONGEST:
            raise ValueError("must be at most 36500d")
        return value

    return parse


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("must be a whole number, 0 or more")
    return int(text)


def _positive(text: str) -> int:
    value = _whole(text)
    if not value:
        raise ValueError("must be a whole number, 1 or more")
    return value


def _archive_url(text: str) -> str | None:
    """A folder or a bucket; canonical, for it tells archives apart."""
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


def _one_of(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(f"must be one of {', '.join(value for value in values if value)}")
        return text

    return parse


def _switch(text: str) -> bool:
    return _one_of("on", "off")(text) == "on"


def _path(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text)
    if not path.is_file():
        raise ValueError("is not a file that can be read")
    return path


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    for origin in origins:
        if not re.fullmatch(r"https?://[^/\s*]+", origin):
            raise ValueError("must be origins such as https://app.example.com, joined by commas")
    return origins


_ROWS: dict[str, _Row] = {
    "GRPC_ADDRESS": _Row("grpc_address", "127.0.0.1:50051", _address, "where gRPC is served"),
    "HTTP_ADDRESS": _Row("http_address", "127.0.0.1:8080", _address, "where Connect, gRPC-Web and metrics are served"),
    "UPSTREAM_URL": _Row("upstream_url", "https://api.higgsfield.ai", _upstream_url, "base of Higgsfield's REST API"),
    "UPSTREAM_IDEMPOTENCY": _Row(
        "upstream_idempotency", "v2", _one_of("v2", "off"),
        "v2: ambiguous v2 submissions are repeated with their key; off: never",
    ),
    "UPSTREAM_IDEMPOTENCY_WINDOW": _Row(
        "upstream_idempotency_window", "900", _seconds(0), "from the first send, in which they are repeated"
    ),
    "UPSTREAM_TIMEOUT": _Row("upstream_timeout", "60", _seconds(0.1), "in all, for one call to Higgsfield"),
    "UPSTREAM_CONCURRENCY": _Row("upstream_concurrency", "0", _whole, "running generations; 0: Higgsfield's own limit"),
    "STORE_URL": _Row("store_path", "sqlite:///hfgateway.db", _store, "where everything is kept"),
    "PUBLIC_URL": _Row("public_url", "", _public_url, "where Higgsfield reaches the HTTP port; turns webhooks on"),
    "WEBHOOK_ADDRESS": _Row("webhook_address", "", _maybe_address, "a port of its own for webhooks"),
    "WEBHOOK_SECRET": _Row(
        "webhook_secrets", "", _words, "whsec_..., verifies Higgsfield's signatures; two while it is rotated"
    ),
    "CALLBACK_NETWORKS": _Row(
        "callback_networks", "", _networks, "networks of our own that callbacks may lead to, over plain http too"
    ),
    "CALLBACK_PORTS": _Row(
        "callback_ports", "443 8443", _ports, "ports that callbacks may lead to; any in CALLBACK_NETWORKS"
    ),
    "POLL_MIN": _Row("poll_min", "1", _seconds(0.05), "shortest time between polls of one generation or session"),
    "POLL_MAX": _Row("poll_max", "30", _seconds(0.05), "longest time between polls of one generation or session"),
    "UNCERTAIN_TIMEOUT": _Row("uncertain_timeout", "10800", _seconds(1), "until UNCERTAIN becomes LOST"),
    "RETENTION": _Row("retention", "30d", _seconds(3600), "how long ended generations are kept"),
    "AUTH": _Row(
        "auth", "", _one_of("", "none", "keys"),
        "who may call: keys, or none (anybody), which is for loopback addresses, and the default there",
    ),
    "TLS_CERT": _Row("tls_cert", "", _path, "certificate chain of both ports, PEM"),
    "TLS_KEY": _Row("tls_key", "", _path, "its private key, PEM"),
    "TLS_CLIENT_CA": _Row("tls_client_ca", "", _path, "who signs the certificates that clients must have, PEM"),
    "DRAIN": _Row("drain", "75", _seconds(0), "from SIGTERM to the end"),
    "ALLOWED_ORIGINS": _Row("allowed_origins", "", _origins, "web origins that may call from a browser"),
    "MCP": _Row("mcp", "off", _switch, "on: tools for language models (MCP) are served at /mcp of the HTTP port"),
    "ARCHIVE_URL": _Row(
        "archive_url", "", _archive_url, "where outputs are copied to: file:///FOLDER or s3://BUCKET/PREFIX"
    ),
    "ARCHIVE_PUBLIC_URL": _Row(
        "archive_public_url", "", _public_url, "where callers find what is in it; else its own file or s3 URLs are told"
    ),
    "ARCHIVE_BANDWIDTH": _Row("archive_bandwidth", "0", _whole, "bytes per second of all copies; 0: no limit"),
    "ARCHIVE_CONCURRENCY": _Row("archive_concurrency", "4", _positive, "files that are copied at a time"),
    "ARCHIVE_LARGEST": _Row("archive_largest", "2147483648", _positive, "bytes of one file; larger ones are given up"),
    "LOG_FORMAT": _Row("log_format", "", _one_of("", "console", "json"), "console on a terminal, else json"),
    "LOG_LEVEL": _Row("log_level", "info", _one_of("debug", "info", "warning", "error"), "least level logged"),
}  # fmt: skip
TABLE = frozenset(PREFIX + name for name in _ROWS)
KNOWN = TABLE | {"HFGATEWAY_API_KEY", "HFGATEWAY_FAILPOINT"}
"""Also what others read: the command line's client, and the tests that kill the process."""


def settings_table() -> list[tuple[str, str, str]]:
    """Name, default and meaning of every setting."""
    return [(PREFIX + name, row.default, row.meaning) for name, row in _ROWS.items()]


def _file_settings(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        raise SettingError("--config", f"cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError("--config", f"is not TOML ({error})") from error
    texts = {}
    for name, value in content.items():
        if name not in TABLE:
            raise SettingError(name, "is no setting of this gateway (in the file of --config)")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise SettingError(name, "must be a text or a number")
        texts[name] = str(value)
    return texts


def _check_together(settings: Settings) -> None:
    for name, address in (("GRPC_ADDRESS", settings.grpc_address), ("HTTP_ADDRESS", settings.http_address)):
        if settings.auth == "none" and not address.loopback:
            raise SettingError(PREFIX + name, "is not a loopback address: refused with HFGATEWAY_AUTH=none")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "TLS_KEY" if settings.tls_key is None else "TLS_CERT"
        raise SettingError(PREFIX + missing, "is missing: a certificate and its key belong together")
    if settings.tls_client_ca is not None and settings.tls_cert is None:
        raise SettingError(PREFIX + "TLS_CLIENT_CA", "needs TLS_CERT and TLS_KEY")
    if settings.archive_public_url is not None and settings.archive_url is None:
        raise SettingError(PREFIX + "ARCHIVE_PUBLIC_URL", "needs ARCHIVE_URL, which turns the archive on")
    _check_webhooks(settings)
    _check_tls(settings)
    if settings.poll_min > settings.poll_max:
        raise SettingError(PREFIX + "POLL_MIN", "is longer than POLL_MAX")


def _check_webhooks(settings: Settings) -> None:
    if settings.public_url is None:
        for name, given in (
            ("WEBHOOK_ADDRESS", settings.webhook_address),
            ("WEBHOOK_SECRET", settings.webhook_secrets),
        ):
            if given:
                raise SettingError(PREFIX + name, "needs PUBLIC_URL, which turns webhooks on")
        return
    if settings.upstream_is_local:
        return  # a sandbox takes any URL
    parts = urlsplit(settings.public_url)
    if parts.scheme != "https":
        raise SettingError(PREFIX + "PUBLIC_URL", "must be https: Higgsfield refuses submissions with another")
    try:
        public = ipaddress.ip_address(parts.hostname or "").is_global
    except ValueError:
        public = "." in (parts.hostname or "") and not (parts.hostname or "").endswith((".local", ".internal"))
    if not public:
        raise SettingError(PREFIX + "PUBLIC_URL", "must be reachable from the internet")


def _check_tls(settings: Settings) -> None:
    """Load the files once as both ports will: what they hold is a setting too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, path in (("TLS_CERT", settings.tls_cert), ("TLS_CLIENT_CA", settings.tls_client_ca)):
        try:
            if path is not None:
                context.load_verify_locations(path)
        except OSError as error:
            raise SettingError(PREFIX + name, "is not a file with certificates that can be read, PEM") from error
    if settings.tls_cert is not None and settings.tls_key is not None:
        try:
            context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
        except OSError as error:
            raise SettingError(
                PREFIX + "TLS_KEY", "is not the private key of TLS_CERT, PEM and without a password"
            ) from error
