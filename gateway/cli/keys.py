"""`hfgateway keys`: manages API keys, through AdminService, or with --offline in the store itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gateway.cli import exit_codes
from gateway.cli.advice import Advice
from gateway.cli.operator import Operator, operator_options
from gateway.cli.output import echo, echo_cells, echo_error, fail, json_option, print_json, time_text
from hfgateway.admin.v1 import admin_service_pb2 as pb

if TYPE_CHECKING:
    from gateway.access.identity import Access
    from gateway.settings.config import Settings
    from gateway.settings.values import Store
T = TypeVar("T")
SCOPE = "API_KEY_SCOPE_"


def _duration(text: str) -> float:
    from gateway.settings.values import Seconds

    try:
        return Seconds(0)(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group()
def keys() -> None:
    """Create, list and revoke the API keys of a gateway."""


def _offline(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose the gateway or the store."""
    help_text = "Act on the store itself if no gateway runs on it. `create` also creates the store."
    return click.option("--offline", is_flag=True, help=help_text)(operator_options(command))


@keys.command()
@click.option("--tenant", required=True, metavar="NAME", help="The tenant of the key: a-z, 0-9, - and _.")
@click.option("--name", default="", metavar="TEXT", help="A note, for example where the key is used.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(("read", "submit", "cancel", "admin")),
    help="What its callers may do; can be repeated. Default: everything except admin.",
)
@click.option(
    "--expires-in", type=_duration, metavar="TIME", help="Expire the key after this time, such as 90d. Default: never."
)
@_offline
def create(
    *, operator: Operator, tenant: str, name: str, scopes: tuple[str, ...], expires_in: float | None, offline: bool
) -> None:
    """Create a key and print it. It cannot be shown again."""
    from gateway.access.scopes import Scope

    settings = _settings_of_store(operator, offline=offline, creates=True)
    expires = None if expires_in is None else time.time() + expires_in
    if settings is None:
        request = pb.CreateApiKeyRequest(tenant=tenant, name=name)
        request.scopes.extend(pb.ApiKeyScope.Value(SCOPE + name.upper()) for name in scopes)
        if expires is not None:
            request.expire_time.FromMicroseconds(round(expires * 1e6))
        secret = operator.ask(lambda admin: admin.CreateApiKey, request).secret
    else:
        wanted = [Scope(name) for name in scopes]
        _, secret = _on_store(settings, lambda access: access.create_key(tenant, name, wanted, expires))
    _print_key(operator, secret, offline=offline)


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", type=_duration, default="24h", show_default=True, metavar="TIME", help="Until when ID is valid."
)
@_offline
def rotate(operator: Operator, key_id: str, overlap: float, offline: bool) -> None:
    """Replace the key ID: create and print a new key with its settings. ID expires after the overlap."""
    settings = _settings_of_store(operator, offline=offline)
    if settings is None:
        request = pb.RotateApiKeyRequest(id=key_id)
        request.overlap.FromMicroseconds(round(overlap * 1e6))
        made = operator.ask(lambda admin: admin.RotateApiKey, request)
        secret, expires = made.secret, made.api_key.expire_time.seconds
    else:
        key, secret = _on_store(settings, lambda access: access.rotate_key(key_id, overlap))
        expires = key.expire_time
    _print_key(operator, secret, offline=offline)
    if expires:
        echo(f"the new key expires at {time_text(expires)}, as {key_id} would have", err=True)


@keys.command(name="list")
@click.option("--tenant", default="", metavar="NAME", help="Only the keys of a tenant.")
@json_option
@_offline
def list_keys(operator: Operator, tenant: str, as_json: bool, offline: bool) -> None:
    """List keys. A line has id, tenant, creation time, active, expired or revoked, name, scopes, and expiry."""
    settings = _settings_of_store(operator, offline=offline)
    if settings is None:
        pages = operator.pages(lambda admin: admin.ListApiKeys, pb.ListApiKeysRequest(tenant=tenant))
        found: Iterable[pb.ApiKey] = (key for page in pages for key in page.api_keys)
    else:
        from gateway.rpc.handlers.admin import api_key_message

        async def listed(access: Access) -> Sequence[pb.ApiKey]:
            return [api_key_message(key) for key in access.listed() if tenant in {"", key.tenant}]

        found = _on_store(settings, listed)
    for key in found:
        if as_json:
            print_json(key)
            continue
        expires = key.expire_time.seconds if key.HasField("expire_time") else None
        state = "active" if expires is None or expires > time.time() else "expired"
        if key.HasField("revoke_time"):
            state = "revoked"
        scopes = " ".join(pb.ApiKeyScope.Name(scope).removeprefix(SCOPE).lower() for scope in key.scopes)
        until = "" if expires is None else time_text(expires)
        echo_cells((key.id, key.tenant, time_text(key.create_time.seconds), state, key.name, scopes, until))


@keys.command()
@click.argument("key_id", metavar="ID")
@_offline
def revoke(operator: Operator, key_id: str, offline: bool) -> None:
    """Revoke the key ID. Its calls, its watch tokens and their open streams end within seconds."""
    settings = _settings_of_store(operator, offline=offline)
    if settings is None:
        request = pb.RevokeApiKeyRequest(id=key_id)
        operator.ask(lambda admin: admin.RevokeApiKey, request)
    else:
        _on_store(settings, lambda access: access.revoke_key(key_id))
    echo(f"{key_id} revoked")


def _print_key(operator: Operator, secret: str, *, offline: bool) -> None:
    """Print a new key. If it cannot be printed, it is lost, so say how to revoke it."""
    key_id = secret.split("_")[1]
    revoke = operator.connection.command("keys", "revoke", key_id, *(["--offline"] if offline else []))
    with Advice(f"The key {key_id} was created, and its text is lost. Revoke it: {revoke}").given():
        echo(secret)


def _settings_of_store(operator: Operator, *, offline: bool, creates: bool = False) -> Settings | None:
    """Return the settings of a store that no gateway uses, to act on it; None if a gateway is to be asked.

    Without a gateway and without `offline`, that is printed and ends the command: a key in a store that no gateway
    uses is valid nowhere. So does a store that is missing, unless the command `creates` it.
    """
    from gateway.cli.operator import in_use, none_runs, read_valid_settings, running_gateway

    if operator.connection.address:
        if offline:
            raise click.UsageError("use one of --admin-server and --offline")
        return None
    settings = read_valid_settings()
    store = settings.store
    running = running_gateway(store) is not None
    used = running or in_use(store)
    if not used and not offline:
        echo_error(f"{none_runs(store)} the store {store}")
        echo(
            "Set HFGATEWAY_STORE_URL to the store of your gateway (its start line shows it), or use --offline", err=True
        )
        if not isinstance(store, Path):
            echo("Run the command as the user of a gateway, on its machine, or use --admin-server", err=True)
        raise click.exceptions.Exit(exit_codes.GATEWAY_UNAVAILABLE)
    if not (creates or running or _exists(store)):
        fail(f"{store}: there is no store; HFGATEWAY_STORE_URL names it", exit_codes.USAGE)
    echo(f"store: {store} ({'a' if used else 'no'} gateway runs on it)", err=True)
    return None if running else settings


def _exists(store: Store) -> bool:
    """Return whether there is a store. An error is printed and ends the command."""
    if isinstance(store, Path):
        return store.exists()
    from gateway.settings.config import SettingError
    from gateway.settings.extras import needed_by
    from gateway.store.store import StoreOpenError

    try:
        with needed_by("STORE_URL", "postgresql", "psycopg", "psycopg_pool"):
            from gateway.store.postgres.store import exists
        return asyncio.run(exists(store.url, str(store)))
    except (SettingError, StoreOpenError) as error:
        fail(error, exit_codes.REFUSED)


def _on_store(settings: Settings, act: Callable[[Access], Awaitable[T]]) -> T:
    """Act on the store of a gateway that does not run. An error is printed and ends the command."""
    from gateway.access.identity import OPERATOR_ID, Access
    from gateway.errors import GatewayError
    from gateway.generations.clock import SystemClock
    from gateway.generations.journal import Caller, caller
    from gateway.generations.stores import UnconfirmedError
    from gateway.process.opening import open_store
    from gateway.settings.config import SettingError, make_default_folder
    from gateway.store.store import StoreOpenError

    def broken(error: Exception) -> None:
        raise StoreOpenError(f"{settings.store}: {error}")

    async def run() -> T:
        store = await open_store(settings, broken)
        keys = store.keys
        try:
            # The gateway's settings may be in a file that this command does not read.
            if store.auditor.mode == "off" and (await store.audit.audit_head()).sequence:
                store.auditor.mode = "on"
            access = Access(keys, SystemClock(), await keys.api_keys(), await keys.token_secret(), required=True)
            return await act(access)
        finally:
            await store.close()

    caller.set(Caller("", "", OPERATOR_ID))
    make_default_folder(settings.store)
    try:
        return asyncio.run(run())
    except (GatewayError, SettingError, StoreOpenError, UnconfirmedError) as error:
        fail(error, exit_codes.REFUSED)
