"""Connects the operator's commands to AdminService: over the socket of a running gateway, or at an address."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli import exit_codes
from gateway.cli.connection import Connection, connection_options
from gateway.cli.output import fail

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from gateway.settings.config import Settings
    from gateway.settings.values import Store
    from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub

T = TypeVar("T")
CALL_TIMEOUT = 90.0
"""Seconds for a call, which may have to wait for Higgsfield."""
PAGE_SIZE = 1000
"""Items of a page, the most that AdminService returns."""
_NOT_CONNECTED = ("failed to connect", "errors resolving", "DNS resolution failed")
"""The beginnings of gRPC's messages for a call that was not sent."""


def read_valid_settings() -> Settings:
    """Return the settings, also those of the file that HFGATEWAY_CONFIG names.

    If they are invalid, the error is printed and ends the command. TLS files that cannot be loaded are no error: a
    running gateway still uses the previous ones, and a backup or the revocation of a key must not fail because of them.
    """
    from gateway.settings.config import SettingError, read_settings

    file = os.environ.get("HFGATEWAY_CONFIG")
    try:
        return read_settings(os.environ, Path(file) if file else None, tls=False)
    except SettingError as error:
        fail(error, exit_codes.USAGE)


def store_file(instead: str) -> Path:
    """Return the SQLite file that the settings name. For another store, `instead` is printed and ends the command."""
    store = read_valid_settings().store
    if not isinstance(store, Path):
        fail(f"{store}: {instead}", exit_codes.USAGE)
    return store


def in_use(store: Store) -> bool:
    """Return whether a gateway runs on a store; for a database of a server, whether one on this machine does."""
    from gateway.process.private_sockets import socket_in_use
    from gateway.store.sqlite import files

    return files.in_use(store) if isinstance(store, Path) else socket_in_use(store)


def running_gateway(store: Store) -> str | None:
    """Return the address of the admin socket of the gateway that runs on a store; None if none runs."""
    from gateway.process.private_sockets import admin_pointer

    # A gateway that was killed leaves the file with its address behind, but not the lock or the socket.
    if not in_use(store):
        return None
    try:
        return admin_pointer(store).read_text()
    except OSError:
        return None


@dataclass(frozen=True)
class Operator:
    """Makes calls to AdminService: at the address of a connection, or over the socket if that has no address."""

    connection: Connection

    def ask(self, rpc: Callable[[AdminServiceStub], Callable[..., T]], request: Message, **named: str) -> T:
        """Make a call, for example of `lambda admin: admin.SetLimits`. Its error is printed and ends the command.

        If no gateway runs on the configured store, that is printed and ends the command, too. `named` has the options
        to name in an error in place of fields of the request.
        """
        with self._calling(**named) as (admin, metadata):
            return rpc(admin)(request, timeout=CALL_TIMEOUT, metadata=metadata)

    def pages(self, rpc: Callable[[AdminServiceStub], Callable[..., T]], request: Any) -> Iterator[T]:
        """Make a call for each page of a list, and yield the responses; like `ask`."""
        request.page_size = PAGE_SIZE
        with self._calling() as (admin, metadata):
            while True:
                response: Any = rpc(admin)(request, timeout=CALL_TIMEOUT, metadata=metadata)
                yield response
                request.page_token = response.next_page_token
                if not request.page_token:
                    return

    def stream(self, rpc: Callable[[AdminServiceStub], Callable[..., Iterable[T]]], request: Message) -> Iterator[T]:
        """Make a call with a stream of responses; like `ask`, but for any time."""
        with self._calling() as (admin, metadata):
            yield from rpc(admin)(request, metadata=metadata)

    @contextmanager
    def _calling(self, **named: str) -> Iterator[tuple[AdminServiceStub, list[tuple[str, str]]]]:
        import grpc

        from hfgateway.admin.v1.admin_service_pb2_grpc import AdminServiceStub
        from hfgateway_client.channel import channel_credentials
        from hfgateway_client.configuration import is_loopback
        from hfgateway_client.errors import Unavailable
        from hfgateway_client.status import error_from_rpc

        where = self.connection
        credentials = channel_credentials(where.tls_argument) if where.address else None
        address = where.address or _socket()
        metadata = [("authorization", f"Bearer {where.api_key}")] if where.address and where.api_key else []
        options = [
            ("grpc.max_receive_message_length", -1),  # the sums of many groups exceed the usual 4 MiB
            ("grpc.enable_http_proxy", int(not is_loopback(address))),  # as the clients do
        ]
        if credentials:
            channel = grpc.secure_channel(address, credentials, options)
        else:
            channel = grpc.insecure_channel(address, options)
        with channel:
            try:
                yield AdminServiceStub(channel), metadata
            except grpc.RpcError as error:
                # A message names fields of the API; for this command they are options.
                message = str(error.details()).replace("may_charge_twice", "--may-charge-twice")
                for field, option in named.items():
                    message = message.replace(f"{field}: ", f"{option}: ")
                failed = error_from_rpc(error)
                if isinstance(failed, Unavailable) and not failed.reason:
                    message = _lost(where, message)
                elif where.address and error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    message = where.unserved("AdminService (HFGATEWAY_ADMIN_ADDRESS)")
                fail(message, exit_codes.of_error(failed))


def _lost(where: Connection, message: str) -> str:
    """Return the text for a call without a response. `message` is gRPC's."""
    never_sent = message.startswith(_NOT_CONNECTED)
    if where.address:
        return where.unreachable(message) + ("" if never_sent else "; a change may have been made")
    if never_sent:  # its lock shows that it runs
        return f"the gateway does not answer, so nothing was changed; it may be starting or paused: {message}"
    return f"the gateway ended before it responded, so a change may have been made: {message}"


def _socket() -> str:
    """Return the address of the socket of the configured store's gateway. Without one, that ends the command."""
    store = read_valid_settings().store
    address = running_gateway(store)
    if address is None:
        fail(f"{none_runs(store)} {store}", exit_codes.GATEWAY_UNAVAILABLE)
    return address


def none_runs(store: Store) -> str:
    """Return the beginning of the error that no gateway was found, which ends with the name of the store."""
    return "no gateway runs on" if isinstance(store, Path) else "no gateway of this user, on this machine, runs on"


def operator_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command for operators, which receives them as the argument `operator`."""
    address = click.option(
        "--admin-server",
        "address",
        envvar="HFGATEWAY_ADMIN_SERVER",
        default="",
        show_envvar=True,
        metavar="HOST:PORT",
        help="The HFGATEWAY_ADMIN_ADDRESS of a gateway. Default: the gateway of HFGATEWAY_STORE_URL, over its socket.",
    )

    @functools.wraps(command)
    def with_operator(*arguments: Any, connection: Connection, **options: Any) -> Any:
        return command(*arguments, operator=Operator(connection), **options)

    return connection_options(with_operator, address, "For --admin-server: an API key with the scope admin.")
