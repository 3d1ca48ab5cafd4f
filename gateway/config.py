"""Reads the settings from the environment and a TOML file. One table holds all names, defaults and meanings."""

import contextlib
import ipaddress
import os
import re
import ssl
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from gateway.frozen import frozen

PREFIX = "HFGATEWAY_"
STORE_URL = PREFIX + "STORE_URL"
STORE_NAME = "hfgateway.db"
WEBHOOK_PATH = "/webhooks/higgsfield/"
"""The path of Higgsfield's webhooks; it is followed by the token of a generation."""
LAST_PORT = 65535
LONGEST_DURATION = 36_500 * 86_400.0


class SettingError(ValueError):
    """A setting is invalid. The message is one line that names the setting and never contains its value."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(" ".join(f"{name}: {why}".split()))


@frozen
class Address:
    """A host and a port to listen on; port 0 picks a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether the host is a loopback address, which only this machine can reach."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
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


Store = Path | PostgresUrl
"""Where the gateway stores everything: a SQLite file, or a database of a PostgreSQL server."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@frozen
class Settings:
    """All settings, validated together. Durations are in seconds."""

    grpc_address: Address
    http_address: Address
    admin_address: Address | None
    upstream_url: str
    upstream_idempotency: str
    upstream_idempotency_window: float
    upstream_timeout: float
    upstream_concurrency: int
    store: Store
    store_connections: int
    accounts_keys: tuple[str, ...] = field(repr=False)
    accounts_key_file: Path | None
    public_url: str | None
    replica_address: Address | None
    webhook_address: Address | None
    webhook_secrets: tuple[str, ...] = field(repr=False)
    callback_networks: tuple[Network, ...]
    callback_ports: tuple[int, ...]
    poll_min: float
    poll_max: float
    uncertain_timeout: float
    retention: float
    prices: Mapping[str, Decimal]
    price_cache: float
    unknown_price: str
    auth: str
    audit: str
    oidc_issuer: str | None
    oidc_audience: str
    oidc_tenant_claim: str
    oidc_scope_claim: str
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
    forward_headers: frozenset[str]
    traces: str
    log_format: str
    log_level: str
    warnings: tuple[str, ...] = field(default=())

    def encryption_keys(self) -> tuple[str, ...]:
        """Return the keys that encrypt credentials in the store, the newest first. Raises SettingError."""
        if self.accounts_key_file is None:
            return self.accounts_keys
        name = PREFIX + "ACCOUNTS_KEY_FILE"
        try:
            keys = _encryption_keys(self.accounts_key_file.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(name, "cannot be read") from error
        except ValueError as error:
            raise SettingError(name, str(error)) from error
        if not keys:
            raise SettingError(name, "the file is empty")
        return keys

    @property
    def upstream_is_local(self) -> bool:
        """Whether the upstream is on this machine, which means that it is a sandbox."""
        return Address(urlsplit(self.upstream_url).hostname or "", 0).loopback


def read_settings(environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Read the settings; the environment overrides the TOML file. Raises SettingError.

    Unknown names with the prefix are an error in the file and a warning in the environment.
    """
    given = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
    warnings = tuple(f"{name}: is not a setting of this gateway" for name in sorted(given) if name not in KNOWN)
    texts = _file_settings(file) | {name: text for name, text in given.items() if name in TABLE}
    if not texts.get(STORE_URL, "").strip():
        texts[STORE_URL] = f"sqlite:///{_chosen_store(environment)}"
    values = {row.attribute: row.read(PREFIX + name, texts) for name, row in _ROWS.items()}
    local = values["grpc_address"].loopback and values["http_address"].loopback
    values["auth"] = values["auth"] or ("none" if local else "keys")
    settings = Settings(**values, warnings=warnings)
    _check_together(settings)
    return settings


def default_store(environment: Mapping[str, str]) -> Path:
    """Return the default store: a file in the user's data folder, the same for every working directory.

    Raises SettingError if the user has no home.
    """
    try:
        home = Path(environment.get("HOME") or Path.home())
    except RuntimeError:
        raise SettingError(STORE_URL, "must be set, because the user has no home folder") from None
    data = Path(environment.get("XDG_DATA_HOME", ""))
    if sys.platform == "darwin":
        data = home / "Library" / "Application Support"
    elif not data.is_absolute():  # as the XDG Base Directory Specification demands
        data = home / ".local" / "share"
    return (data / "hfgateway" / STORE_NAME).resolve()


def make_default_folder(store: Store) -> None:
    """Create the folder of the default store. Other folders must exist, so that a mistyped one is noticed."""
    if isinstance(store, Path) and store == default_store(os.environ):
        with contextlib.suppress(OSError):  # opening the store reports the error
            store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _chosen_store(environment: Mapping[str, str]) -> Path:
    """Return the default store, unless that would silently leave a store in the working directory behind."""
    store = default_store(environment)
    if Path(STORE_NAME).exists() and not store.exists():
        raise SettingError(
            STORE_URL,
            f"is not set, but there is a {STORE_NAME} in the working directory: use it with sqlite:///{STORE_NAME}, "
            f"or move it with its .mark to {store.parent}",
        )
    return store


@frozen
class _Row:
    attribute: str
    default: str
    parse: Callable[[str], Any]
    meaning: str

    @property
    def allowed(self) -> str:
        """What the setting accepts, if its meaning does not say it."""
        return getattr(self.parse, "allowed", "")

    def read(self, name: str, texts: Mapping[str, str]) -> Any:
        text = texts.get(name, "").strip()
        try:
            return self.parse(text or self.default)
        except ValueError as error:
            raise SettingError(name, str(error)) from None


def parse_address(text: str) -> Address:
    """Read HOST:PORT. Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", text)
    if not match or int(match[3]) > LAST_PORT:
        raise ValueError("must be HOST:PORT, with an IPv6 address in brackets")
    return Address(match[1] or match[2], int(match[3]))


_NO_URL = "must be an http or https URL without user, query or fragment"


def _url(text: str) -> SplitResult:
    # Match before splitting: an error message of urlsplit would contain the value.
    match = re.fullmatch(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(/.*)?", text)
    if not match or int(match[1] or 0) > LAST_PORT or "?" in text or "#" in text or not text.isprintable():
        raise ValueError(_NO_URL)
    try:
        return urlsplit(text)
    except ValueError:  # for example [1:2:3], which is no IPv6 address
        raise ValueError(_NO_URL) from None


def _upstream_url(text: str) -> str:
    parts = _url(text)
    if parts.path not in {"", "/"}:
        raise ValueError("must have no path")
    if parts.scheme == "http" and not Address(parts.hostname or "", 0).loopback:
        raise ValueError("must be https, because credentials are sent there; http is allowed for this machine only")
    return f"{parts.scheme}://{parts.netloc}"


def _optional_url(text: str) -> str | None:
    return _url(text).geturl().rstrip("/") if text else None


def _issuer(text: str) -> str | None:
    """Read the URL of an issuer exactly as its tokens name it."""
    if not text:
        return None
    if _url(text).scheme == "http" and not Address(_url(text).hostname or "", 0).loopback:
        raise ValueError("must be https, because the keys of tokens come from there")
    return text


def _word(text: str) -> str:
    if not text.isprintable() or " " in text:
        raise ValueError("must be one word")
    return text


def _optional_address(text: str) -> Address | None:
    return parse_address(text) if text else None


def _webhook_secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(text.replace(",", " ").split())
    # The base64 of 16 to 75 bytes.
    form = r"whsec_(?=.{24,100}$)([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
    if not all(re.fullmatch(form, secret) for secret in secrets):
        raise ValueError("must be whsec_ and base64; during a rotation two of them, separated by a comma")
    return secrets


def _encryption_keys(text: str) -> tuple[str, ...]:
    keys = tuple(text.replace(",", " ").split())
    if not all(re.fullmatch("[A-Za-z0-9_-]{43}=", key) for key in keys):
        raise ValueError("must be keys of hfgateway accounts new-key, separated by commas")
    return keys


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise ValueError("must be networks such as 10.20.0.0/16, separated by commas") from None


def _ports(text: str) -> tuple[int, ...]:
    parts = text.replace(",", " ").split()
    if not all(part.isascii() and part.isdecimal() and len(part) <= 5 and 0 < int(part) <= LAST_PORT for part in parts):
        raise ValueError("must be port numbers such as 443 8443")
    return tuple(map(int, parts))


def _store(text: str) -> Store:
    if text.startswith(("postgresql://", "postgres://")):
        # The user and the password must be encoded: otherwise libpq takes a part of the password for a host, and names
        # it in its messages.
        form = r"postgres(ql)?://([^\s:/?#@\[\]]+(:[^\s:/?#@\[\]]*)?@)?[A-Za-z0-9.:,_\[\]-]*(/[^\s/?#@]*)?(\?[^\s#]*)?"
        if not re.fullmatch(form, text):
            raise ValueError(
                "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS, "
                "with special characters of the password as %XX"
            )
        return PostgresUrl(text)
    if not text.startswith("sqlite:///") or len(text) == len("sqlite:///"):
        raise ValueError("must be sqlite:///FILE (relative), sqlite:////FILE (absolute), or postgresql://...")
    # Resolve links, so that the lock and the WAL beside the file are the same for every path to it.
    return Path(text.removeprefix("sqlite:///")).resolve()


def _prices(text: str) -> Mapping[str, Decimal]:
    prices = {}
    for part in text.replace(",", " ").split():
        match = re.fullmatch(r"([a-z0-9][a-z0-9./_-]*)=(\d{1,9}(?:\.\d{1,6})?)", part)
        if not match:
            raise ValueError("must be PREFIX=CREDITS, such as bytedance/seedance-2.5=12.5, separated by commas")
        prices[match[1]] = Decimal(match[2])
    return prices


@frozen
class Seconds:
    """Reads a duration of at least `least` seconds. Raises ValueError."""

    least: float

    @property
    def allowed(self) -> str:
        return f"at least {self.least:g} s" if self.least else "0 or more"

    def __call__(self, text: str) -> float:
        units = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
        match = re.fullmatch(r"(-?\d+(?:\.\d+)?)([smhd]?)", text)
        if not match:
            raise ValueError("must be a number of seconds, or a number followed by s, m, h or d")
        value = float(match[1]) * units[match[2]]
        if value < self.least:
            raise ValueError(f"must be {self.allowed}")
        if value > LONGEST_DURATION:
            raise ValueError("must be at most 36500d")
        return value


@frozen
class _Number:
    least: int

    @property
    def allowed(self) -> str:
        return f"{self.least} or more"

    def __call__(self, text: str) -> int:
        if not text.isdecimal() or int(text) < self.least:
            raise ValueError(f"must be a whole number, {self.allowed}")
        return int(text)


def _archive_url(text: str) -> str | None:
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


class _OneOf:
    def __init__(self, *values: str) -> None:
        self._values = values

    @property
    def allowed(self) -> str:
        return ", ".join(value for value in self._values if value)

    def __call__(self, text: str) -> str:
        if text not in self._values:
            raise ValueError(f"must be one of {self.allowed}")
        return text


class _OnOrOff:
    allowed = "on, off"

    def __call__(self, text: str) -> bool:
        return _OneOf("on", "off")(text) == "on"


def _optional_file(text: str) -> Path | None:
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


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.rstrip("/") for part in text.replace(",", " ").split())
    for origin in origins:
        if not re.fullmatch(r"https?://[^/\s*]+", origin):
            raise ValueError("must be origins such as https://app.example.com, separated by commas or spaces")
    return origins


_NEVER_FORWARDED = re.compile(
    r"authorization|connection|cookie|date|expect|host|idempotency-key|te|trailer|traceparent|tracestate|upgrade|user-agent|via"
    r"|(accept|connect|content|forwarded|grpc|hf|keep|proxy|sec|transfer|webhook|x-forwarded)(-.*)?|.*-bin"
)
"""Headers of connections and of the gateway's own requests, and secrets."""


def _forwarded(text: str) -> frozenset[str]:
    names = frozenset(text.lower().replace(",", " ").split())
    if not all(
        re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,99}", name) and not _NEVER_FORWARDED.fullmatch(name) for name in names
    ):
        raise ValueError("must be names of headers, separated by commas, without those that HTTP or the gateway uses")
    return names


_ROWS: dict[str, _Row] = {
    "GRPC_ADDRESS": _Row("grpc_address", "127.0.0.1:50051", parse_address, "listen address of gRPC"),
    "HTTP_ADDRESS": _Row(
        "http_address", "127.0.0.1:8080", parse_address,
        "listen address of Connect, gRPC-Web, the live page and metrics",
    ),
    "ADMIN_ADDRESS": _Row(
        "admin_address", "", _optional_address,
        "listen address of AdminService, for API keys with the scope admin; default: only the operator's socket",
    ),
    "UPSTREAM_URL": _Row("upstream_url", "https://api.higgsfield.ai", _upstream_url, "Higgsfield's REST API"),
    "UPSTREAM_IDEMPOTENCY": _Row(
        "upstream_idempotency", "v2", _OneOf("v2", "off"),
        "v2: repeat v2 submissions with an unknown outcome under the same key; off: repeat none",
    ),
    "UPSTREAM_IDEMPOTENCY_WINDOW": _Row(
        "upstream_idempotency_window", "15m", Seconds(0), "time after the first attempt in which to repeat them"
    ),
    "UPSTREAM_TIMEOUT": _Row("upstream_timeout", "60s", Seconds(0.1), "timeout of one call to Higgsfield, in total"),
    "UPSTREAM_CONCURRENCY": _Row(
        "upstream_concurrency", "0", _Number(0), "outputs that may be generated at once; 0: learn Higgsfield's limit"
    ),
    "STORE_URL": _Row(
        "store", "", _store,
        "the gateway's database: sqlite:///FILE or postgresql://..., by default hfgateway.db in the user's data folder",
    ),
    "ACCOUNTS_KEY": _Row(
        "accounts_keys", "", _encryption_keys,
        "encrypts the credentials of Higgsfield accounts in the store: made by hfgateway accounts new-key. During a "
        "rotation: several keys, separated by commas, the newest first",
    ),
    "ACCOUNTS_KEY_FILE": _Row("accounts_key_file", "", _optional_file, "a file with the value of ACCOUNTS_KEY"),
    "STORE_CONNECTIONS": _Row("store_connections", "10", _Number(3), "connections to a PostgreSQL server"),
    "REPLICA_ADDRESS": _Row(
        "replica_address", "", _optional_address,
        "HOST:PORT at which replicas on a PostgreSQL server reach this one's gRPC port; default: GRPC_ADDRESS, or the "
        "address of the host name if that is every address",
    ),
    "PUBLIC_URL": _Row(
        "public_url", "", _optional_url, "URL at which Higgsfield reaches the gateway; enables webhooks"
    ),
    "WEBHOOK_ADDRESS": _Row(
        "webhook_address", "", _optional_address, "separate listen address for webhooks; default: the HTTP port"
    ),
    "WEBHOOK_SECRET": _Row(
        "webhook_secrets", "", _webhook_secrets,
        "whsec_..., verifies the signatures of Higgsfield's webhooks; two of them during a rotation",
    ),
    "CALLBACK_NETWORKS": _Row(
        "callback_networks", "", _networks, "private networks that callbacks may reach, over plain http too"
    ),
    "CALLBACK_PORTS": _Row(
        "callback_ports", "443 8443", _ports, "ports that callbacks may reach; in CALLBACK_NETWORKS any port"
    ),
    "POLL_MIN": _Row(
        "poll_min", "1s", Seconds(0.05),
        "shortest interval between polls of one generation or session; at most POLL_MAX",
    ),
    "POLL_MAX": _Row(
        "poll_max", "30s", Seconds(0.05),
        "longest interval between polls of one generation or session. Polls that only look for lost webhooks are at "
        "least a minute apart",
    ),
    "UNCERTAIN_TIMEOUT": _Row(
        "uncertain_timeout", "3h", Seconds(1),
        "time from the last attempt until an UNCERTAIN generation becomes LOST. With webhooks, also 2 h in which one "
        "could arrive. Not while Higgsfield does not respond, and never if a restore holds the generation",
    ),
    "RETENTION": _Row("retention", "30d", Seconds(3600), "how long ended generations are kept"),
    "PRICES": _Row(
        "prices", "", _prices,
        "credits for each output of models without a fixed price: PREFIX=CREDITS, the longest prefix of a model counts",
    ),
    "PRICE_CACHE": _Row("price_cache", "5m", Seconds(0), "how long an estimate is used again for the same input"),
    "UNKNOWN_PRICE": _Row(
        "unknown_price", "refuse", _OneOf("refuse", "allow"),
        "submissions without a known price to which a budget applies: refuse, or allow and count as 0 credits",
    ),
    "AUTH": _Row(
        "auth", "", _OneOf("", "none", "keys"),
        "keys: callers need an API key; none: every caller has full access, on loopback addresses only and the default "
        "there",
    ),
    "AUDIT": _Row(
        "audit", "off", _OneOf("off", "on", "inputs"),
        "on: keep a tamper-evident log of submissions and administrative acts; inputs: with the inputs of submissions",
    ),
    "OIDC_ISSUER": _Row(
        "oidc_issuer", "", _issuer, "URL of an OpenID Connect issuer whose tokens are accepted as well as API keys"
    ),
    "OIDC_AUDIENCE": _Row("oidc_audience", "", _word, "the audience (aud) that its tokens must have"),
    "OIDC_TENANT_CLAIM": _Row("oidc_tenant_claim", "tenant", _word, "the claim of its tokens that names the tenant"),
    "OIDC_SCOPE_CLAIM": _Row(
        "oidc_scope_claim", "scope", _word,
        "the claim that contains hfgateway:read, hfgateway:submit, hfgateway:cancel, hfgateway:admin",

    ),
    "TLS_CERT": _Row("tls_cert", "", _optional_file, "PEM file with the certificate chain of all ports"),
    "TLS_KEY": _Row("tls_key", "", _optional_file, "PEM file with the private key of TLS_CERT"),
    "TLS_CLIENT_CA": _Row(
        "tls_client_ca", "", _optional_file,
        "PEM file with the CA of client certificates, which it makes mandatory, except at WEBHOOK_ADDRESS",
    ),
    "DRAIN": _Row(
        "drain", "75s", Seconds(0),
        "how long a graceful stop waits for submissions and other calls to Higgsfield that are under way. The rest of "
        "the stop takes a few seconds",
    ),
    "ALLOWED_ORIGINS": _Row(
        "allowed_origins", "", _origins, "web origins that may call from a browser, separated by commas or spaces"
    ),
    "MCP": _Row("mcp", "off", _OnOrOff(), "on: serve tools for language models (MCP) at /mcp of the HTTP port"),
    "ARCHIVE_URL": _Row(
        "archive_url", "", _archive_url, "where outputs are copied to: file:///FOLDER or s3://BUCKET/PREFIX"
    ),
    "ARCHIVE_PUBLIC_URL": _Row(
        "archive_public_url", "", _optional_url,
        "URL under which callers find the copies; default: their file:// or s3:// URL",
    ),
    "ARCHIVE_BANDWIDTH": _Row(
        "archive_bandwidth", "0", _Number(0), "bytes per second of all copies together; 0: no limit"
    ),
    "ARCHIVE_CONCURRENCY": _Row("archive_concurrency", "4", _Number(1), "files that are copied at the same time"),
    "ARCHIVE_LARGEST": _Row("archive_largest", "2147483648", _Number(1), "bytes of the largest file that is copied"),
    "FORWARD_HEADERS": _Row(
        "forward_headers", "", _forwarded, "names of callers' headers that submissions pass on to Higgsfield"
    ),
    "TRACES": _Row(
        "traces", "off", _OneOf("off", "otlp"),
        "otlp: export traces to the OpenTelemetry collector of OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    "LOG_FORMAT": _Row(
        "log_format", "", _OneOf("", "console", "json"), "console or json; default: console on a terminal, else json"
    ),
    "LOG_LEVEL": _Row("log_level", "info", _OneOf("debug", "info", "warning", "error"), "lowest level that is logged"),
}  # fmt: skip
TABLE = frozenset(PREFIX + name for name in _ROWS)
KNOWN = TABLE | {"HFGATEWAY_ADDRESS", "HFGATEWAY_ADMIN_SERVER", "HFGATEWAY_API_KEY", "HFGATEWAY_FAILPOINT"}
"""The settings, and the variables that are read elsewhere: by the client commands, and by `gateway.failpoints`."""


def settings_table() -> list[tuple[str, str, str, str]]:
    """Return the name, default, allowed values and meaning of every setting."""
    return [(PREFIX + name, row.default, row.allowed, row.meaning) for name, row in _ROWS.items()]


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
            raise SettingError(name, "is not a setting of this gateway (in the file of --config)")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise SettingError(name, "must be a string or a number")
        texts[name] = str(value)
    return texts


def _check_together(settings: Settings) -> None:
    for name, address in (("GRPC_ADDRESS", settings.grpc_address), ("HTTP_ADDRESS", settings.http_address)):
        if settings.auth == "none" and not address.loopback:
            raise SettingError(PREFIX + name, "is not a loopback address, which HFGATEWAY_AUTH=none requires")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "TLS_KEY" if settings.tls_key is None else "TLS_CERT"
        raise SettingError(PREFIX + missing, "is missing: set both the certificate and its key")
    if settings.tls_client_ca is not None and settings.tls_cert is None:
        raise SettingError(PREFIX + "TLS_CLIENT_CA", "needs TLS_CERT and TLS_KEY")
    if settings.archive_public_url is not None and settings.archive_url is None:
        raise SettingError(PREFIX + "ARCHIVE_PUBLIC_URL", "needs ARCHIVE_URL, which enables the archive")
    if settings.oidc_issuer is not None:
        if settings.auth != "keys":
            raise SettingError(PREFIX + "OIDC_ISSUER", "needs HFGATEWAY_AUTH=keys")
        if not settings.oidc_audience:
            raise SettingError(PREFIX + "OIDC_AUDIENCE", "is missing: tokens for other services must be refused")
    elif settings.oidc_audience:
        raise SettingError(PREFIX + "OIDC_AUDIENCE", "needs OIDC_ISSUER, whose tokens have this audience")
    if settings.replica_address is not None and not isinstance(settings.store, PostgresUrl):
        raise SettingError(PREFIX + "REPLICA_ADDRESS", "needs a STORE_URL of a PostgreSQL server, which replicas share")
    if settings.accounts_keys and settings.accounts_key_file is not None:
        raise SettingError(PREFIX + "ACCOUNTS_KEY_FILE", "is set as well as ACCOUNTS_KEY: set one of them")
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
                raise SettingError(PREFIX + name, "needs PUBLIC_URL, which enables webhooks")
        return
    if settings.upstream_is_local:
        return  # a sandbox accepts any URL
    parts = urlsplit(settings.public_url)
    if parts.scheme != "https":
        raise SettingError(PREFIX + "PUBLIC_URL", "must be https: Higgsfield refuses other webhook URLs")
    try:
        public = ipaddress.ip_address(parts.hostname or "").is_global
    except ValueError:
        public = "." in (parts.hostname or "") and not (parts.hostname or "").endswith((".local", ".internal"))
    if not public:
        raise SettingError(PREFIX + "PUBLIC_URL", "must be reachable from the internet")


def _check_tls(settings: Settings) -> None:
    # Load the files as both ports will, so that a bad file is reported as a bad setting.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name, path in (("TLS_CERT", settings.tls_cert), ("TLS_CLIENT_CA", settings.tls_client_ca)):
        try:
            if path is not None:
                context.load_verify_locations(path)
        except OSError as error:
            raise SettingError(PREFIX + name, "is not a readable PEM file with certificates") from error
    if settings.tls_cert is not None and settings.tls_key is not None:
        try:
            context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
        except OSError as error:
            raise SettingError(
                PREFIX + "TLS_KEY", "is not the private key of TLS_CERT in PEM without a password"
            ) from error
