"""Reads the settings from the environment and a TOML file. One table holds all names, defaults and meanings."""

import contextlib
import ipaddress
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import field
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.addresses import Network
from gateway.certificates import find_unusable
from gateway.frozen import frozen
from gateway.settings.values import (
    Address,
    Number,
    OneOf,
    OnOrOff,
    PostgresUrl,
    Proxy,
    Seconds,
    Store,
    is_loopback_host,
    parse_address,
    parse_archive_url,
    parse_encryption_keys,
    parse_forwarded_headers,
    parse_issuer,
    parse_networks,
    parse_optional_address,
    parse_optional_destination,
    parse_optional_file,
    parse_optional_url,
    parse_origins,
    parse_ports,
    parse_prices,
    parse_proxy,
    parse_store,
    parse_upstream_url,
    parse_webhook_secrets,
    parse_word,
)

PREFIX = "HFGATEWAY_"
STORE_URL = PREFIX + "STORE_URL"
STORE_NAME = "hfgateway.db"
WEBHOOK_PATH = "/webhooks/higgsfield/"
"""The path of Higgsfield's webhooks; it is followed by the token of a generation."""


class SettingError(ValueError):
    """A setting is invalid. The message is one line that names the setting and never contains its value."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(" ".join(f"{name}: {why}".split()))


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
    proxy: Proxy | None
    warnings: tuple[str, ...] = field(default=())

    def encryption_keys(self) -> tuple[str, ...]:
        """Return the keys that encrypt credentials in the store, the newest first. Raises SettingError."""
        if self.accounts_key_file is None:
            return self.accounts_keys
        name = PREFIX + "ACCOUNTS_KEY_FILE"
        try:
            keys = parse_encryption_keys(self.accounts_key_file.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(name, "cannot be read") from error
        except ValueError as error:
            raise SettingError(name, str(error)) from error
        if not keys:
            raise SettingError(name, "the file is empty")
        return keys

    @property
    def listen_addresses(self) -> Mapping[str, Address]:
        """The addresses that the gateway listens on, by the names of their settings."""
        addresses = {
            "GRPC_ADDRESS": self.grpc_address,
            "HTTP_ADDRESS": self.http_address,
            "WEBHOOK_ADDRESS": self.webhook_address,
            "ADMIN_ADDRESS": self.admin_address,
        }
        return {name: address for name, address in addresses.items() if address is not None}

    @property
    def upstream_is_local(self) -> bool:
        """Whether the upstream is on this machine, which means that it is a sandbox."""
        return is_loopback_host(urlsplit(self.upstream_url).hostname or "")

    def proxy_for(self, url: str) -> str | None:
        """Return the URL of the proxy on the way to a URL; None if there is none."""
        return None if self.proxy is None else self.proxy.for_url(url)


def read_settings(environment: Mapping[str, str], file: Path | None = None, *, tls: bool = True) -> Settings:
    """Read the settings; the environment overrides the TOML file. Raises SettingError.

    An empty variable counts as not set. Without `tls`, for commands that open no port, the TLS files are ignored.
    Unknown names with the prefix are an error in the file and a warning in the environment.
    """
    given = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
    warnings = tuple(f"{name}: {_unknown(name)}" for name in sorted(given) if name not in KNOWN)
    texts = _file_settings(file) | {name: text for name, text in given.items() if name in TABLE and text.strip()}
    if not texts.get(STORE_URL, "").strip():
        texts[STORE_URL] = f"sqlite:///{_chosen_store(environment)}"
    if not tls:
        texts = {name: text for name, text in texts.items() if not name.startswith(PREFIX + "TLS_")}
    values = {row.attribute: row.read(PREFIX + name, texts) for name, row in _ROWS.items()}
    local = values["grpc_address"].loopback and values["http_address"].loopback
    values["auth"] = values["auth"] or ("none" if local else "keys")
    settings = Settings(**values, proxy=_proxy(environment, values["upstream_url"]), warnings=warnings)
    _check_together(settings)
    return settings


def _proxy(environment: Mapping[str, str], upstream_url: str) -> Proxy | None:
    """Return the proxy that the standard variables name; the one in lower case counts if both are set."""
    url, excluded = (environment.get(name.lower()) or environment.get(name, "") for name in ("HTTPS_PROXY", "NO_PROXY"))
    try:
        return parse_proxy(url.strip(), excluded)
    except ValueError as error:
        if upstream_url.startswith("http:"):
            return None  # a sandbox on this machine, for which no developer should have to change the environment
        raise SettingError("HTTPS_PROXY", str(error)) from None


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


_ROWS: dict[str, _Row] = {
    "GRPC_ADDRESS": _Row("grpc_address", "127.0.0.1:50051", parse_address, "listen address of gRPC"),
    "HTTP_ADDRESS": _Row(
        "http_address", "127.0.0.1:8080", parse_address,
        "listen address of Connect, gRPC-Web, the live page and metrics",
    ),
    "ADMIN_ADDRESS": _Row(
        "admin_address", "", parse_optional_address,
        "listen address of AdminService, for API keys with the scope admin; default: only the operator's socket",
    ),
    "UPSTREAM_URL": _Row("upstream_url", "https://api.higgsfield.ai", parse_upstream_url, "Higgsfield's REST API"),
    "UPSTREAM_IDEMPOTENCY": _Row(
        "upstream_idempotency", "v2", OneOf("v2", "off"),
        "v2: repeat v2 submissions with an unknown outcome under the same key; off: repeat none",
    ),
    "UPSTREAM_IDEMPOTENCY_WINDOW": _Row(
        "upstream_idempotency_window", "15m", Seconds(0),
        "how long after its first attempt a submission of v2 may be repeated",
    ),
    "UPSTREAM_TIMEOUT": _Row("upstream_timeout", "60s", Seconds(0.1), "timeout of one call to Higgsfield, in total"),
    "UPSTREAM_CONCURRENCY": _Row(
        "upstream_concurrency", "0", Number(0),
        "outputs that may run at once in each Higgsfield account; 0: learn Higgsfield's limit",
    ),
    "STORE_URL": _Row(
        "store", "", parse_store,
        "the gateway's database: sqlite:///FILE or postgresql://..., by default hfgateway.db in the user's data folder",
    ),
    "ACCOUNTS_KEY": _Row(
        "accounts_keys", "", parse_encryption_keys,
        "encrypts the credentials of Higgsfield accounts in the store: made by hfgateway accounts new-key. During a "
        "rotation: several keys, separated by commas, the newest first",
    ),
    "ACCOUNTS_KEY_FILE": _Row("accounts_key_file", "", parse_optional_file, "a file with the value of ACCOUNTS_KEY"),
    "STORE_CONNECTIONS": _Row("store_connections", "10", Number(3), "connections to a PostgreSQL server"),
    "REPLICA_ADDRESS": _Row(
        "replica_address", "", parse_optional_destination,
        "HOST:PORT at which replicas on a PostgreSQL server reach this one's gRPC port; default: GRPC_ADDRESS, or the "
        "address of the host name if GRPC_ADDRESS is a wildcard such as 0.0.0.0",
    ),
    "PUBLIC_URL": _Row(
        "public_url", "", parse_optional_url, "URL at which Higgsfield reaches the gateway; enables webhooks"
    ),
    "WEBHOOK_ADDRESS": _Row(
        "webhook_address", "", parse_optional_address, "separate listen address for webhooks; default: the HTTP port"
    ),
    "WEBHOOK_SECRET": _Row(
        "webhook_secrets", "", parse_webhook_secrets,
        "whsec_..., verifies the signatures of Higgsfield's webhooks. During a rotation or with several accounts: "
        "several, separated by commas",
    ),
    "CALLBACK_NETWORKS": _Row(
        "callback_networks", "", parse_networks,
        "private networks that callbacks may reach, over plain http too, separated by commas or spaces",
    ),
    "CALLBACK_PORTS": _Row(
        "callback_ports", "443 8443", parse_ports,
        "ports that callbacks may reach, separated by commas or spaces; in CALLBACK_NETWORKS any port",
    ),
    "POLL_MIN": _Row(
        "poll_min", "1s", Seconds(0.05),
        "shortest interval between polls of one generation, session or character; at most POLL_MAX",
    ),
    "POLL_MAX": _Row(
        "poll_max", "30s", Seconds(0.05),
        "longest interval between polls of one generation, session or character. Polls that only look for lost "
        "webhooks are at least a minute apart",
    ),
    "UNCERTAIN_TIMEOUT": _Row(
        "uncertain_timeout", "3h", Seconds(1),
        "time from the last attempt until an UNCERTAIN generation becomes LOST. With webhooks, they must "
        "also have had 2 h to arrive. None becomes LOST while Higgsfield does not respond, or while a restore holds it",
    ),
    "RETENTION": _Row("retention", "30d", Seconds(3600), "how long ended generations are kept"),
    "PRICES": _Row(
        "prices", "", parse_prices,
        "credits for each output of models without a fixed price: PREFIX=CREDITS, separated by commas or spaces; the "
        "longest prefix of a model counts",
    ),
    "PRICE_CACHE": _Row("price_cache", "5m", Seconds(0), "how long an estimate is used again for the same input"),
    "UNKNOWN_PRICE": _Row(
        "unknown_price", "refuse", OneOf("refuse", "allow"),
        "submissions without a known price to which a budget applies: refuse, or allow and count as 0 credits",
    ),
    "AUTH": _Row(
        "auth", "", OneOf("", "none", "keys"),
        "keys: callers need an API key. none: every caller has full access; loopback addresses only. Default: none on "
        "loopback addresses, else keys",
    ),
    "AUDIT": _Row(
        "audit", "off", OneOf("off", "on", "inputs"),
        "on: keep a tamper-evident log of submissions and administrative acts; inputs: with the inputs of submissions",
    ),
    "OIDC_ISSUER": _Row(
        "oidc_issuer", "", parse_issuer, "URL of an OpenID Connect issuer whose tokens are accepted as well as API keys"
    ),
    "OIDC_AUDIENCE": _Row("oidc_audience", "", parse_word, "the audience (aud) that its tokens must have"),
    "OIDC_TENANT_CLAIM": _Row(
        "oidc_tenant_claim", "tenant", parse_word, "the claim of its tokens that names the tenant"
    ),
    "OIDC_SCOPE_CLAIM": _Row(
        "oidc_scope_claim", "scope", parse_word,
        "the claim that contains hfgateway:read, hfgateway:submit, hfgateway:cancel, hfgateway:admin",
    ),
    "TLS_CERT": _Row("tls_cert", "", parse_optional_file, "PEM file with the certificate chain of all ports"),
    "TLS_KEY": _Row("tls_key", "", parse_optional_file, "PEM file with the private key of TLS_CERT"),
    "TLS_CLIENT_CA": _Row(
        "tls_client_ca", "", parse_optional_file,
        "PEM file with the CA of client certificates, which it makes mandatory, except at WEBHOOK_ADDRESS",
    ),
    "DRAIN": _Row(
        "drain", "75s", Seconds(0),
        "how long a graceful stop waits for submissions and other calls to Higgsfield that are under way. The rest of "
        "the stop takes a few seconds, and about ten if the store does not respond",
    ),
    "ALLOWED_ORIGINS": _Row(
        "allowed_origins", "", parse_origins, "web origins that may call from a browser, separated by commas or spaces"
    ),
    "MCP": _Row("mcp", "off", OnOrOff(), "on: serve tools for language models (MCP) at /mcp of the HTTP port"),
    "ARCHIVE_URL": _Row(
        "archive_url", "", parse_archive_url, "where outputs are copied to: file:///FOLDER or s3://BUCKET/PREFIX"
    ),
    "ARCHIVE_PUBLIC_URL": _Row(
        "archive_public_url", "", parse_optional_url,
        "URL under which callers find the copies; default: their file:// or s3:// URL",
    ),
    "ARCHIVE_BANDWIDTH": _Row(
        "archive_bandwidth", "0", Number(0), "bytes per second of all copies together; 0: no limit"
    ),
    "ARCHIVE_CONCURRENCY": _Row("archive_concurrency", "4", Number(1), "files that are copied at the same time"),
    "ARCHIVE_LARGEST": _Row("archive_largest", "2147483648", Number(1), "bytes of the largest file that is copied"),
    "FORWARD_HEADERS": _Row(
        "forward_headers", "", parse_forwarded_headers,
        "names of callers' headers that submissions pass on to Higgsfield, separated by commas or spaces",
    ),
    "TRACES": _Row(
        "traces", "off", OneOf("off", "otlp"),
        "otlp: export traces to the OpenTelemetry collector of OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    "LOG_FORMAT": _Row(
        "log_format", "", OneOf("", "console", "json"), "console or json; default: console on a terminal, else json"
    ),
    "LOG_LEVEL": _Row("log_level", "info", OneOf("debug", "info", "warning", "error"), "lowest level that is logged"),
}  # fmt: skip
TABLE = frozenset(PREFIX + name for name in _ROWS)
KNOWN = TABLE | {
    "HFGATEWAY_ADDRESS", "HFGATEWAY_ADMIN_SERVER", "HFGATEWAY_API_KEY", "HFGATEWAY_CONFIG", "HFGATEWAY_FAILPOINT",
}  # fmt: skip
"""The settings, and the variables that are read elsewhere: by the commands, and by `gateway.failpoints`."""


def settings_table() -> list[tuple[str, str, str, str]]:
    """Return the name, default, allowed values and meaning of every setting."""
    return [(PREFIX + name, row.default, row.allowed, row.meaning) for name, row in _ROWS.items()]


def _unknown(name: str) -> str:
    """Return the message about a name that is not a setting, with the name that was probably meant."""
    from difflib import get_close_matches  # late: rarely needed

    close = get_close_matches(name, TABLE, n=1, cutoff=0.85)
    return "is not a setting of this gateway" + (f"; did you mean {close[0]}?" if close else "")


def _file_settings(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingError("settings file", f"{file}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError("settings file", f"{file}: is not TOML ({error})") from error
    texts = {}
    for name, value in content.items():
        if name not in TABLE:
            raise SettingError(name, f"{_unknown(name)} (in the settings file)")
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
            raise SettingError(
                PREFIX + "OIDC_AUDIENCE", "is missing: set it to the audience (aud) of tokens for this gateway"
            )
    elif settings.oidc_audience:
        raise SettingError(PREFIX + "OIDC_AUDIENCE", "needs OIDC_ISSUER, whose tokens have this audience")
    if settings.replica_address is not None and not isinstance(settings.store, PostgresUrl):
        raise SettingError(PREFIX + "REPLICA_ADDRESS", "needs a STORE_URL of a PostgreSQL server, which replicas share")
    if settings.accounts_keys and settings.accounts_key_file is not None:
        raise SettingError(PREFIX + "ACCOUNTS_KEY_FILE", "is set as well as ACCOUNTS_KEY: set one of them")
    _check_addresses(settings)
    _check_webhooks(settings)
    _check_tls(settings)
    if settings.poll_min > settings.poll_max:
        raise SettingError(
            PREFIX + "POLL_MIN", "is longer than HFGATEWAY_POLL_MAX: lower it, or raise HFGATEWAY_POLL_MAX"
        )


def _check_addresses(settings: Settings) -> None:
    for (other, taken), (name, address) in combinations(settings.listen_addresses.items(), 2):
        if address.overlaps(taken):
            raise SettingError(PREFIX + name, f"has the port of {other}: choose another port")


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
    if settings.tls_cert is None or settings.tls_key is None:
        return
    # Load the files as both ports will, so that a bad file is reported as a bad setting.
    unusable = find_unusable(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    if unusable:
        raise SettingError(*unusable)
