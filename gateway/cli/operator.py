"""Connects the operator's commands to the running gateway of a store, over its admin socket."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gateway.cli import exits
from gateway.cli.output import echo

if TYPE_CHECKING:
    from gateway.config import Settings, Store
    from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub

Answer = TypeVar("Answer")
PATIENCE = 90.0
"""Seconds for a call, which may have to wait for Higgsfield."""


def read_valid_settings() -> Settings:
    """Return the settings. If they are invalid, the error is printed and ends the command."""
    from gateway.config import SettingError, read_settings

    try:
        return read_settings(os.environ)
    except SettingError as error:
        print(f"hfgateway: {error}", file=sys.stderr)
        raise click.exceptions.Exit(exits.USAGE) from None


def store_file(instead: str) -> Path:
    """Return the SQLite file that the settings name. For another store, `instead` is printed and ends the command."""
    store = read_valid_settings().store
    if isinstance(store, Path):
        return store
    print(f"hfgateway: {store}: {instead}", file=sys.stderr)
    raise click.exceptions.Exit(exits.USAGE)


def in_use(store: Store) -> bool:
    """Return whether a gateway runs on a store; for a database of a server, whether one on this machine does."""
    from gateway.serving import admin_pointer
    from gateway.store import files

    if isinstance(store, Path):
        return files.in_use(store)
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(admin_pointer(store).read_text().removeprefix("unix:"))
        return True
    return False


def running_gateway(store: Store) -> str | None:
    """Return the address of the admin socket of the gateway that runs on a store; None if none runs."""
    from gateway.serving import admin_pointer

    # A gateway that was killed leaves the file with its address behind, but not the lock or the socket.
    if not in_use(store):
        return None
    try:
        return admin_pointer(store).read_text()
    except OSError:
        return None


def ask_running(call: Callable[[AdminServiceStub], Answer]) -> Answer:
    """Make a call to the gateway of the configured store. Without one, that is printed and ends the command."""
    store = read_valid_settings().store
    address = running_gateway(store)
    if address is None:
        echo(f"hfgateway: no gateway runs on {store}", err=True)
        raise click.exceptions.Exit(exits.AWAY)
    return ask(address, call)


def ask(address: str, call: Callable[[AdminServiceStub], Answer]) -> Answer:
    """Make a call. Its error is printed and ends the command."""
    import grpc

    from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub

    with grpc.insecure_channel(address) as channel:
        try:
            return call(AdminServiceStub(channel))
        except grpc.RpcError as error:
            # A message names fields of the API; for this command they are options.
            message = str(error.details()).replace("may_charge_twice", "--may-charge-twice")
            echo(f"hfgateway: {message}", err=True)
            away = error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
            raise click.exceptions.Exit(exits.AWAY if away else exits.REFUSED) from None
