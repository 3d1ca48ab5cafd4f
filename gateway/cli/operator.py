"""Connects the operator's commands to the running gateway of a store, over its admin socket."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gateway.cli import exits
from gateway.cli.output import echo

if TYPE_CHECKING:
    from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub

Answer = TypeVar("Answer")
PATIENCE = 90.0
"""Seconds for a call, which may have to wait for Higgsfield."""


def store_path() -> Path:
    """Return the store that the settings name. If they are invalid, the error is printed and ends the command."""
    from gateway.config import SettingError, read_settings

    try:
        return read_settings(os.environ).store_path
    except SettingError as error:
        print(f"hfgateway: {error}", file=sys.stderr)
        raise click.exceptions.Exit(exits.USAGE) from None


def running_gateway(store: Path) -> str | None:
    """Return the address of the admin socket of the gateway that runs on a store; None if none runs."""
    from gateway.serving import admin_pointer
    from gateway.store.files import in_use

    # A gateway that was killed leaves the file with its address behind, but not the lock.
    if not in_use(store):
        return None
    try:
        return admin_pointer(store).read_text()
    except OSError:
        return None


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
