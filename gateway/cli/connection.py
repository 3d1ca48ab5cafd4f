"""How every client command reaches its gateway, and what it says when that goes wrong: one line, no traceback."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from gateway.cli import exits
from gateway.cli.output import echo

if TYPE_CHECKING:
    from hfgateway_client import Client, GatewayError, TlsConfig

# A person is waiting: a gateway that does not answer within this is said to be away.
_PATIENCE = 3.0
_abandoned: list[Client] = []
"""Clients that Ctrl-C took us away from. They are neither closed nor collected: where it came while gRPC was starting a
call, both would wait for that call for ever. The process ends in a moment (`gateway.__main__`)."""


@dataclass(frozen=True)
class Connection:
    """The options that all client commands have."""

    address: str
    api_key: str
    tls: bool
    tls_ca: Path | None

    @property
    def trust(self) -> bool | TlsConfig:
        """Whether to talk TLS, and whom to trust, as clients are told."""
        from hfgateway_client import TlsConfig

        return TlsConfig(ca=self.tls_ca) if self.tls_ca else self.tls

    @property
    def local(self) -> bool:
        """Whether the address of the gateway is a loopback address."""
        from gateway.config import Address

        return Address(urlsplit(f"//{self.address}").hostname or "", 0).loopback

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client whose errors end the command with their exit code."""
        from hfgateway_client import Client, GatewayError, RetryPolicy

        retry = RetryPolicy(repeat_calls_for=_PATIENCE)
        client = Client(self.address, api_key=self.api_key, tls=self.trust, retry=retry)
        try:
            yield client
        except GatewayError as error:
            client.close()
            echo(f"error: {self._describe(error)}", err=True)
            raise click.exceptions.Exit(exits.of_error(error)) from None
        except KeyboardInterrupt:
            _abandoned.append(client)
            raise
        except BaseException:
            client.close()
            raise
        client.close()

    def _describe(self, error: GatewayError) -> str:
        from hfgateway_client.errors import Unavailable

        if isinstance(error, Unavailable) and not error.reason:
            return f"no gateway answers at {self.address}: {error.message}"
        return str(error)


def client_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a connection; the command gets them as its argument ``connection``."""

    @click.option(
        "--gateway",
        "address",
        envvar="HFGATEWAY_GRPC_ADDRESS",
        default="127.0.0.1:50051",
        show_default=True,
        show_envvar=True,
        metavar="HOST:PORT",
        help="Where the gateway is.",
    )
    @click.option("--api-key", envvar="HFGATEWAY_API_KEY", show_envvar=True, metavar="KEY", help="Who is calling.")
    @click.option("--tls", is_flag=True, help="Talk TLS, and trust the public authorities.")
    @click.option(
        "--tls-ca",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Talk TLS, and trust this authority.",
    )
    @functools.wraps(command)
    def with_connection(
        *arguments: Any, address: str, api_key: str | None, tls: bool, tls_ca: Path | None, **options: Any
    ) -> Any:
        return command(*arguments, connection=Connection(address, (api_key or "").strip(), tls, tls_ca), **options)

    return with_connection
