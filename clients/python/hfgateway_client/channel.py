"""The gRPC channel to the gateway: its options, and TLS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import grpc

from hfgateway_client._version import __version__
from hfgateway_client.configuration import is_loopback


def channel_options(
    address: str = "", *, ping_after: float = 11.0, ping_timeout: float = 5.0
) -> tuple[tuple[str, int | str], ...]:
    """Return the options of the channel to an address. Tests shorten the times, which are in seconds.

    A ping is sent after ``ping_after`` without traffic while a call is open, and the connection is dead if there is no
    reply within ``ping_timeout``. Their sum leaves a call with the default timeout enough time for a retry. The gateway
    accepts a ping every 10 s, and closes connections that ping more often ("Too many pings").
    """
    return (
        # gRPC would send calls, and the API key, to a loopback address through the proxy of the environment.
        ("grpc.enable_http_proxy", int(not is_loopback(address))),
        ("grpc.keepalive_time_ms", round(ping_after * 1000)),
        ("grpc.keepalive_timeout_ms", round(ping_timeout * 1000)),
        # The timeout of any ping: gRPC sends the keepalive as such a one, and would wait for it for a minute.
        ("grpc.http2.ping_timeout_ms", round(ping_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 0),
        # A call that waits sends no data. By default gRPC stops its pings after two.
        ("grpc.http2.max_pings_without_data", 0),
        # A watch must resume soon after the gateway is available again. gRPC's default delay is up to two minutes.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # A gateway that moved has another address. By default gRPC looks it up at most every 30 s.
        ("grpc.dns_min_time_between_resolutions_ms", 5_000),
        ("grpc.primary_user_agent", f"hfgateway-client-python/{__version__}"),
    )


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Paths of the PEM files for TLS. They are read when the client is created."""

    ca: str | PathLike[str] | None = None
    """The certificates of the authorities to trust. Default: the root certificates of gRPC."""
    cert: str | PathLike[str] | None = None
    """The client's certificate chain, for mTLS."""
    key: str | PathLike[str] | None = None
    """The private key of ``cert``."""

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files and return the channel credentials.

        Raises:
            OSError: A file cannot be read.
            ValueError: ``ca`` contains no certificate: gRPC would trust its default roots, or nothing. Or ``key`` is
                not that of ``cert``, or one of them is missing: gRPC would not say why it does not connect, or end the
                process.
        """
        if (self.cert is None) != (self.key is None):
            raise ValueError("a certificate and its key are both needed")
        roots, key, cert = (None if pem is None else Path(pem).read_bytes() for pem in (self.ca, self.key, self.cert))
        try:
            context = ssl.create_default_context(cafile=self.ca) if self.ca else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key, password="")  # without one, OpenSSL would ask for it
        except ssl.SSLError as error:
            raise ValueError(f"{self} cannot be used: {error}") from error
        return grpc.ssl_channel_credentials(roots, key, cert)


def channel_credentials(tls: bool | TlsConfig | None) -> grpc.ChannelCredentials | None:
    """Return the credentials of a channel, or None for plaintext."""
    return (TlsConfig() if tls is True else tls).credentials() if tls else None
