"""Opens what the settings name: the store, the archive, an issuer of tokens, encryption, and traces.

A library of an extra is imported only if a setting needs it.
"""

import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from gateway.accounts.manager import Encryption
from gateway.archive.ports import ArchiveError, ObjectStorage
from gateway.generations.ports import Clock
from gateway.object_storage.from_url import object_storage
from gateway.rpc.messages.wire import input_json
from gateway.settings.config import PREFIX, SettingError, Settings
from gateway.settings.extras import needed_by
from gateway.settings.values import PostgresUrl
from gateway.store.sqlite.database import WriterFrom
from gateway.store.sqlite.store import SqliteStore
from gateway.store.sqlite.writer import Writer
from gateway.store.store import SharedStore, Store

if TYPE_CHECKING:
    from gateway.oidc import OidcIssuer
    from gateway.open_telemetry import Traces
    from gateway.store.postgres.store import PostgresStore

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""The variables with the address of the collector, which the SDK logs if an export fails."""
AnyStore = TypeVar("AnyStore", bound=Store)


async def open_store(
    settings: Settings, broken: Callable[[Exception], None], writer: WriterFrom = Writer, *, declaring: bool = False
) -> Store:
    """Open the store. Raises StoreOpenError, also if another gateway has it; SettingError if a library is missing.

    `declaring`: also a database without an epoch, to declare it restored.
    """
    if not isinstance(settings.store, PostgresUrl):
        return _audited(SqliteStore(settings.store, broken, writer), settings)
    store = settings.store
    url, connections = store.url, settings.store_connections
    return _audited(await _postgres().open(url, str(store), broken, connections, declaring=declaring), settings)


async def join_store(settings: Settings, store: PostgresUrl, broken: Callable[[Exception], None]) -> SharedStore:
    """Open a store that other gateways may have open. Raises as `open_store` does."""
    return _audited(await _postgres().join(store.url, str(store), broken, settings.store_connections), settings)


def _audited(store: AnyStore, settings: Settings) -> AnyStore:
    """Set what a store records in its audit log."""
    store.auditor.mode, store.auditor.input_of = settings.audit, input_json
    return store


def _postgres() -> "type[PostgresStore]":
    with needed_by("STORE_URL", "postgresql", "psycopg", "psycopg_pool"):
        from gateway.store.postgres.store import PostgresStore  # imports psycopg, which costs 0.1 s
    return PostgresStore


def open_traces(settings: Settings) -> "Traces | None":
    """Return the traces; None if they are off. Raises SettingError, also if their library is not installed."""
    if settings.traces == "off":
        return None
    with needed_by("TRACES", "traces", "opentelemetry"):
        from gateway.open_telemetry import Traces  # its import takes 0.2 s

        for name in ENDPOINTS:
            if "@" in os.environ.get(name, ""):
                raise SettingError(name, "must have no user and password: set OTEL_EXPORTER_OTLP_HEADERS")
        try:
            return Traces()
        except Exception as error:  # of any kind, and with a value in its text
            given = ", ".join(sorted(name for name in os.environ if name.startswith("OTEL_")))
            why = f"OpenTelemetry refuses the value of one of its variables ({type(error).__name__}): {given}"
            raise SettingError(PREFIX + "TRACES", why) from error


def import_mcp() -> None:
    """Import the endpoint of MCP. Raises SettingError if its library is not installed."""
    with needed_by("MCP", "mcp", "mcp", "mcp_types"):
        importlib.import_module("gateway.web.mcp")


def open_issuer(settings: Settings, clock: Clock) -> "OidcIssuer | None":
    """Return the verifier of an issuer's tokens; None if there is no issuer. Raises SettingError."""
    if settings.oidc_issuer is None:
        return None
    with needed_by("OIDC_ISSUER", "oidc", "jwt", "cryptography"):
        from gateway.oidc import OidcIssuer
    return OidcIssuer(
        settings.oidc_issuer,
        settings.oidc_audience,
        clock,
        tenant_claim=settings.oidc_tenant_claim,
        scope_claim=settings.oidc_scope_claim,
        proxy_for=settings.proxy_for,
    )


def open_encryption(settings: Settings) -> Encryption | None:
    """Return the encryption of stored credentials; None without a key. Raises SettingError."""
    keys = settings.encryption_keys()
    if not keys:
        return None
    with needed_by("ACCOUNTS_KEY", "accounts", "cryptography"):
        from gateway.accounts.encryption import FernetEncryption  # its import takes 0.1 s
    return FernetEncryption(keys, PREFIX + ("ACCOUNTS_KEY_FILE" if settings.accounts_key_file else "ACCOUNTS_KEY"))


def open_archive(settings: Settings) -> ObjectStorage | None:
    """Return the storage of the archive; None if it is not configured. Raises SettingError."""
    if settings.archive_url is None:
        return None
    try:
        return object_storage(settings.archive_url, os.environ)
    except ArchiveError as error:
        raise SettingError(PREFIX + "ARCHIVE_URL", str(error)) from error
