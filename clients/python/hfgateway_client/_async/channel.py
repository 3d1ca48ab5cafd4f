"""Creates the gRPC channel to the gateway."""

from __future__ import annotations

import grpc

from hfgateway_client.channel import CHANNEL_OPTIONS, TlsConfig, channel_credentials


def open_channel(address: str, tls: bool | TlsConfig | None) -> grpc.aio.Channel:
    """Return a channel. It connects at the first call, and reconnects whenever the connection is lost."""
    credentials = channel_credentials(tls)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
