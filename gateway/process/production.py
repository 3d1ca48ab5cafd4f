"""What `hfgateway serve --production` refuses: settings that suit a trial, and are unsafe where others can connect."""

import ipaddress
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from gateway.higgsfield.credentials import Credentials
from gateway.settings.config import PREFIX, STORE_URL, Settings
from gateway.settings.values import Address, PostgresUrl, is_loopback_host
from gateway.store.sqlite.mounts import NETWORK_ADVICE, network_filesystem

_SANDBOX = "sandbox"
"""The key id of the sandbox, which its documentation shows."""


def unsafe(
    settings: Settings, credentials: Credentials, environment: Mapping[str, str], config: Path | None
) -> list[str]:
    """Return one line for each unsafe setting. It begins with the setting's name and contains no secret.

    `config` is the TOML file from which settings were read.
    """
    return [
        *_callers(settings),
        *_connections(settings),
        *_upstream(settings, credentials),
        *_files(settings, environment, config),
        *_test_hooks(environment),
    ]


def _callers(settings: Settings) -> Iterator[str]:
    if settings.auth == "none":
        yield f"{PREFIX}AUTH: must be keys, because without keys every caller has full access"


def _connections(settings: Settings) -> Iterator[str]:
    """Yield the settings with which keys, inputs or tokens would cross a network in plaintext."""
    if settings.tls_cert is None:
        for name in ("grpc_address", "http_address", "webhook_address"):
            address = getattr(settings, name)
            if address is not None and not _is_private(address):
                yield (
                    f"{PREFIX}{name.upper()}: is public without TLS: set {PREFIX}TLS_CERT and {PREFIX}TLS_KEY, or"
                    " listen on the private address to which a proxy with TLS forwards"
                )
        if settings.admin_address is not None and not settings.admin_address.loopback:
            yield (
                f"{PREFIX}ADMIN_ADDRESS: would get keys for all tenants in plaintext: set {PREFIX}TLS_CERT and"
                f" {PREFIX}TLS_KEY, or listen on a loopback address"
            )
    for origin in settings.allowed_origins:
        if not origin.startswith("https:"):
            yield f"{PREFIX}ALLOWED_ORIGINS: must be https origins, because their pages get keys or watch tokens"
            return


def _is_private(address: Address) -> bool:
    """Whether only this machine or a private network can reach an address. A host name may resolve to any address."""
    if address.loopback:
        return True
    try:
        found = ipaddress.ip_address(address.host)
    except ValueError:
        return False
    return not found.is_global and not found.is_unspecified  # also 100.64.0.0/10, which clusters use for their pods


def _upstream(settings: Settings, credentials: Credentials) -> Iterator[str]:
    if settings.upstream_is_local:
        yield f"{PREFIX}UPSTREAM_URL: is on this machine, so it is a sandbox and not Higgsfield"
    if credentials.key_id == _SANDBOX:
        yield "HF_KEY: has the sandbox's credentials"


def _files(settings: Settings, environment: Mapping[str, str], config: Path | None) -> Iterator[str]:
    """Yield the files with secrets that other users of this machine can access."""
    key_file = environment.get("HF_KEY_FILE", "").strip()
    secrets = {
        STORE_URL: settings.store if isinstance(settings.store, Path) else None,
        f"{PREFIX}TLS_KEY": settings.tls_key,
        "HF_KEY_FILE": Path(key_file) if key_file else None,
        f"{PREFIX}ACCOUNTS_KEY_FILE": settings.accounts_key_file,
        "settings file": config
        if settings.webhook_secrets or settings.accounts_keys or isinstance(settings.store, PostgresUrl)
        else None,
    }
    for name, path in secrets.items():
        if path is not None and _others_have(path, stat.S_IRWXO):
            yield f"{name}: other users can access the file: chmod o= {path}"
    if isinstance(settings.store, PostgresUrl):
        yield from _server(settings.store, environment)
        return
    if _others_have(settings.store.parent, stat.S_IWOTH):
        yield f"{STORE_URL}: other users can replace the store: chmod o-w {settings.store.parent}"
    if kind := network_filesystem(settings.store):
        yield f"{STORE_URL}: is on a network file system ({kind}): {NETWORK_ADVICE}"


def _server(store: PostgresUrl, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield an error if others could read what the gateway sends to its PostgreSQL server, or answer in its place."""
    parts = urlsplit(store.url)
    parameters = dict(parse_qsl(parts.query))
    # As libpq does: an address has precedence over a name, and the environment has what the URL lacks.
    named = parameters.get("host") or re.sub(r":\d+(?=,|$)", "", parts.netloc.rpartition("@")[2])
    addresses = parameters.get("hostaddr") or environment.get("PGHOSTADDR")
    hosts = (addresses or named or environment.get("PGHOST", "")).split(",")
    local = all(not host or host.startswith("/") or is_loopback_host(host.strip("[]")) for host in hosts)
    if parameters.get("service") or environment.get("PGSERVICE"):
        local = False  # its file may name any host
    mode = parameters.get("sslmode") or environment.get("PGSSLMODE", "")
    if not local and mode != "verify-full":
        yield f"{STORE_URL}: does not verify the server: add sslmode=verify-full (docs/postgresql.md)"


def _others_have(path: Path, rights: int) -> bool:
    try:
        return bool(os.stat(path).st_mode & rights)
    except OSError:
        return False  # a missing store is created with mode 0600


def _test_hooks(environment: Mapping[str, str]) -> Iterator[str]:
    if environment.get(f"{PREFIX}FAILPOINT"):
        yield f"{PREFIX}FAILPOINT: is for tests: the gateway kills itself"
