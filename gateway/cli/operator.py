"""How an operator's commands reach the running gateway of a store, over its own socket."""

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
"""Seconds for a call: it may have to ask Higgsfield."""


def store_path() -> Path:
    """The store that the settings name; ends the command with one line where they are wrong."""
    from gateway.config import SettingError, read_settings

    try:
        return read_settings(os.environ).store_path
    except SettingError as error:
        print(f"hfgateway: {error}", file=sys.stderr)
        raise click.exceptions.Exit(exits.USAGE) from None


def running_gateway(store: Path) -> str | None:
    """The address of the operator's socket of the gateway that runs on a store; None where none does."""
    from gateway.serving import admin_pointer
    from gateway.store.files import in_use

    # One that was killed leaves its pointer behind, but not the lock.
    if not in_use(store):
        return None
    try:
        return admin_pointer(store).read_text()
    except OSError:
        return None


def ask(address: str, call: Callable[[AdminServiceStub], Answer]) -> Answer:
    """Make one call; its error ends the command with one line."""
    import grpc

    from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub

    with grpc.insecure_channel(address) as channel:
        try:
            return call(AdminServiceStub(channel))
        except grpc.RpcError as error:
            echo(f"hfgateway: {error.details()}", err=True)
            away = error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
            raise click.exceptions.Exit(exits.AWAY if away else exits.REFUSED) from None
