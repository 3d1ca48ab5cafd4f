# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Creates the gRPC channel to the gateway."""

from __future__ import annotations

import grpc

from hfgateway_client.channel import CHANNEL_OPTIONS, TlsConfig, channel_credentials


def open_channel(address: str, tls: bool | TlsConfig | None) -> grpc.Channel:
    """Return a channel. It connects at the first call, and reconnects whenever the connection is lost."""
    credentials = channel_credentials(tls)
    if credentials is None:
        return grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
