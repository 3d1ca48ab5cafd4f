"""How the client reaches the gateway: options of the channel, and TLS."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import grpc

from hfgateway_client._version import __version__

DEFAULT_ADDRESS = "127.0.0.1:50051"

# The gateway accepts a ping every 10 s on a connection without data; more often ends it with "Too many pings". A watch
# has a heartbeat every 15 s, so there pings find dead connections only; a call that waits has nothing else.
CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # A long wait for one answer sends nothing, and would be left without pings after two.
    ("grpc.http2.max_pings_without_data", 0),
    # A watch resumes when its gateway is back: gRPC alone would wait for up to two minutes before it even tries.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.primary_user_agent", f"hfgateway-client-python/{__version__}"),
)


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """PEM files: whom to trust (default: gRPC's own roots), and, for mTLS, who we are."""

    ca: str | PathLike[str] | None = None
    cert: str | PathLike[str] | None = None
    key: str | PathLike[str] | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """The files as they are now."""
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))


def channel_credentials(tls: bool | TlsConfig | None) -> grpc.ChannelCredentials | None:
    """None for plaintext."""
    if not tls:
        return None
    return (TlsConfig() if tls is True else tls).credentials()


def _read(path: str | PathLike[str] | None) -> bytes | None:
    return Path(path).read_bytes() if path is not None else None
