"""The connection options of client commands. An error of the connection is printed as one line, without a traceback."""

from __future__ import annotations

import functools
import shlex
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from gateway.cli import exit_codes
from gateway.cli.output import fail

if TYPE_CHECKING:
    from hfgateway_client import Client, GatewayError, TlsConfig
    from hfgateway_client.retry import OnRetry

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_OPTIONS = frozenset({"address", "api_key", "tls", "tls_ca", "tls_cert", "tls_key", "insecure"})
_RESPONSE_TIMEOUT = 3.0
"""Seconds after which the gateway counts as unavailable, because a person is waiting: calls are repeated until then."""
_UPLOAD_REPEATED_FOR = 30.0
"""Seconds for which an upload is repeated. Its delays are those of Higgsfield's storage, and longer."""
_PRIVATE_AUTHORITY = "--tls-ca FILE for an authority that is not public"
_UNTRUSTED = range(18, 22)
"""OpenSSL's codes for a certificate whose authority is not known."""
_abandoned: list[Client] = []
"""Clients interrupted by Ctrl-C. They are neither closed nor collected: if gRPC was starting a call, either would
wait for that call forever. The process ends soon afterwards (`gateway.__main__`)."""


@dataclass(frozen=True)
class Connection:
    """The connection options of a client command."""

    address: str
    api_key: str
    tls: bool
    tls_ca: Path | None
    insecure: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    given: tuple[str, ...] = ()
    """The options of the command line that name the gateway and the caller."""

    def command(self, *arguments: str) -> str:
        """Return a `hfgateway` command that calls the same gateway as the same caller, for the user to run.

        Another gateway, or another tenant, does not know the idempotency key, and could charge again.
        """
        return shlex.join(["hfgateway", *arguments, *self.given])

    @property
    def tls_argument(self) -> bool | TlsConfig:
        """The client's argument `tls`: whether TLS is used, or with which files."""
        from hfgateway_client import TlsConfig

        named = self.tls_ca or self.tls_cert
        return TlsConfig(ca=self.tls_ca, cert=self.tls_cert, key=self.tls_key) if named else self.tls

    @property
    def options(self) -> dict[str, Any]:
        """The client's options for the key and for TLS."""
        return {"api_key": self.api_key, "tls": self.tls_argument, "insecure": self.insecure}

    @property
    def local(self) -> bool:
        """Whether the address of the gateway is a loopback address."""
        from gateway.settings.values import is_loopback_host

        return is_loopback_host(urlsplit(f"//{self.address}").hostname or "")

    @contextmanager
    def client(self, repeat_for: float = _RESPONSE_TIMEOUT, on_retry: OnRetry | None = None) -> Iterator[Client]:
        """Open a client. Its errors are printed and end the command with their exit code.

        `repeat_for` is how long calls are repeated, in seconds. `on_retry` is called with each error before that.
        """
        from hfgateway_client import Client, GatewayError, RetryPolicy

        retry = RetryPolicy(repeat_calls_for=repeat_for)
        client = Client(self.address, **self.options, retry=retry, on_retry=on_retry)
        try:
            yield client
        except GatewayError as error:
            client.close()
            fail(self._describe(error), exit_codes.of_error(error))
        except KeyboardInterrupt:
            _abandoned.append(client)
            raise
        except BaseException:
            client.close()
            raise
        client.close()

    @contextmanager
    def uploading(self) -> Iterator[Client]:
        """Open a client for uploads as `client` does, after a call has shown that a gateway answers."""
        from hfgateway_client.errors import NotAllowed

        with self.client() as client, suppress(NotAllowed):  # a key that may not read may upload
            check_reachable(client)
        with self.client(_UPLOAD_REPEATED_FOR) as client:
            yield client

    def _describe(self, error: GatewayError) -> str:
        from hfgateway_client.errors import Unavailable

        if error.code is not None and error.code.name == "UNIMPLEMENTED" and not error.reason:
            return self.unserved("gRPC (HFGATEWAY_GRPC_ADDRESS)")
        return self.unreachable(error.message) if isinstance(error, Unavailable) and not error.reason else str(error)

    def unserved(self, service: str) -> str:
        """Return the text for a call that the address does not know. `service` is what serves it."""
        return f"{self.address} does not serve this call: it is not the address of {service}, or its gateway is older"

    def unreachable(self, message: str) -> str:
        """Return the text for a call that no gateway answered. `message` is gRPC's."""
        if "http1.x server" in message:
            message = "it serves HTTP/1.1 and not gRPC, as HFGATEWAY_HTTP_ADDRESS does"
        return f"no gateway answers at {self.address}: {self._cause() or message}"

    def _cause(self) -> str:
        """Connect once without gRPC, and return why no gateway answers; empty if that does not show it."""
        try:
            parts = urlsplit(f"//{self.address}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or not port:
            return "the address must be HOST:PORT"
        wanted = bool(self.tls_argument)
        try:
            if speaks_tls(host, port, _RESPONSE_TIMEOUT):
                return self._tls_cause(host, port) if wanted else f"it speaks TLS: use --tls, or {_PRIVATE_AUTHORITY}"
        except OSError as error:
            return error.strerror or str(error)
        except ValueError:  # of Python: an empty or a too long part of a name
            return "the host is not a name in DNS"
        return "it does not speak TLS: leave out --tls, --tls-ca and --tls-cert" if wanted else ""

    def _tls_cause(self, host: str, port: int) -> str:
        """Return why a connection with TLS fails; empty if it does not. Raises OSError if none opens."""
        error = find_certificate_error(host, port, self.tls_ca)
        if error is not None:
            cure = f"; use {_PRIVATE_AUTHORITY}" if error.verify_code in _UNTRUSTED else ""
            return f"its certificate is not valid here: {error.verify_message.rstrip('.')}{cure}"
        if not refuses_client(host, port, self.tls_cert, self.tls_key):
            return ""
        if self.tls_cert is None:
            return "it may require a client certificate: use --tls-cert FILE and --tls-key FILE"
        return "it may refuse the client certificate: use a valid one of an authority it trusts"


def check_reachable(client: Client) -> None:
    """Make a call without effects. If it fails, it is certain that no later call of the command had an effect."""
    next(client.list(page_size=1), None)


def speaks_tls(host: str, port: int, timeout: float) -> bool:
    """Return whether a server completes a TLS handshake, with any certificate. Raises OSError without a connection."""
    with socket.create_connection((host, port), timeout=timeout) as connection:
        try:
            _unverified_context().wrap_socket(connection).close()
        except OSError:
            return False
    return True


def find_certificate_error(host: str, port: int, ca: Path | None) -> ssl.SSLCertVerificationError | None:
    """Return why a server's certificate is not trusted; None if it is. Raises OSError without a connection.

    `ca` is the file of the authority to trust; None: the public ones.
    """
    context = ssl.create_default_context(cafile=ca)
    with socket.create_connection((host, port), timeout=_RESPONSE_TIMEOUT) as connection:
        try:
            context.wrap_socket(connection, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            return error
    return None


def refuses_client(host: str, port: int, cert: Path | None, key: Path | None) -> bool:
    """Return whether a server closes a TLS connection with this client certificate. Raises OSError if none opens."""
    context = _unverified_context()
    if cert:
        context.load_cert_chain(cert, key)
    with socket.create_connection((host, port), timeout=_RESPONSE_TIMEOUT) as connection:
        try:
            with context.wrap_socket(connection) as secured:
                # A gRPC server sends its settings at once. With TLS 1.3 it refuses a client after the handshake.
                return secured.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


def _unverified_context() -> ssl.SSLContext:
    """Return a context that accepts any certificate of a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def client_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the connection options. The command receives them as the argument `connection`."""
    address = click.option(
        "--gateway",
        "address",
        # That of the clients; on the machine of the gateway, its own setting is enough.
        envvar=["HFGATEWAY_ADDRESS", "HFGATEWAY_GRPC_ADDRESS"],
        default="127.0.0.1:50051",
        show_default=True,
        show_envvar=True,
        metavar="HOST:PORT",
        callback=lambda _context, _option, address: _reachable(address),
        help="The address of the gateway.",
    )
    return connection_options(command, address, "The API key.")


def _reachable(address: str) -> str:
    """Return the loopback address of a gateway on this machine that listens on all addresses."""
    for everywhere, loopback in (("0.0.0.0:", "127.0.0.1:"), ("[::]:", "[::1]:")):
        if address.startswith(everywhere):
            return loopback + address.removeprefix(everywhere)
    return address


def connection_options(command: Callable[..., Any], address_option: Decorator, key_help: str) -> Callable[..., Any]:
    """Add an option for the address, and those for the key and for TLS."""

    @address_option
    @click.option("--api-key", envvar="HFGATEWAY_API_KEY", show_envvar=True, metavar="KEY", help=key_help)
    @click.option("--tls", is_flag=True, help="Use TLS, and trust the public authorities.")
    @_file_option("--tls-ca", "Use TLS, and trust this authority (a PEM file).")
    @_file_option("--tls-cert", "Use TLS with this client certificate (a PEM file); needs --tls-key.")
    @_file_option("--tls-key", "The private key of --tls-cert (a PEM file without a password).")
    @click.option("--insecure", is_flag=True, help="Send the API key to another machine without TLS.")
    @functools.wraps(command)
    def with_connection(
        *arguments: Any,
        address: str,
        api_key: str | None,
        tls: bool,
        tls_ca: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        insecure: bool,
        **options: Any,
    ) -> Any:
        from hfgateway_client.configuration import checked_address, checked_key, require_secrecy

        if (tls_cert is None) != (tls_key is None):
            raise click.UsageError("--tls-cert and --tls-key must be given together")
        _check_files(tls_ca, tls_cert, tls_key)
        try:
            key = checked_key((api_key or "").strip())
            if checked_address(address) and key and not (tls or tls_ca or tls_cert or insecure):
                require_secrecy(address)
        except ValueError as error:
            raise click.UsageError(
                str(error).replace("set tls, or insecure=True", "use --tls, or --insecure")
            ) from None
        connection = Connection(address, key, tls, tls_ca, insecure, tls_cert, tls_key, _given())
        return command(*arguments, connection=connection, **options)

    return with_connection


def _file_option(name: str, help_text: str) -> Decorator:
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option(name, type=kind, metavar="FILE", help=help_text)


def _check_files(ca: Path | None, cert: Path | None, key: Path | None) -> None:
    """Raise UsageError if files of the options cannot be used: the error of a connection would not name them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca is not None:
            context.load_verify_locations(ca)
    except OSError:
        raise click.UsageError("--tls-ca is not a PEM file with certificates") from None
    try:
        if cert is not None:
            context.load_cert_chain(cert, key, password="")
    except OSError:
        raise click.UsageError("--tls-key is not the private key of --tls-cert in PEM without a password") from None


def _given() -> tuple[str, ...]:
    """Return the options of the command line that a printed command needs. The environment is the same for it.

    A placeholder stands for the API key. It is refused, while the key of the environment may be another tenant's.
    """
    context, found = click.get_current_context(), list[str]()
    for option in context.command.params:
        if not isinstance(option, click.Option) or option.name not in _OPTIONS:
            continue
        if context.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE:
            found.append(option.opts[0])
            if not option.is_flag:
                found.append("KEY" if option.name == "api_key" else str(context.params[option.name]))
    return tuple(found)
