"""Creates the gRPC channel to the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from hfgateway_client.channel import channel_options


def open_channel(
    address: str, credentials: grpc.ChannelCredentials | None, interceptors: Sequence[Any]
) -> grpc.aio.Channel:
    """Return a channel. It connects at the first call, and reconnects whenever the connection is lost."""
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=channel_options(address), interceptors=interceptors)
    return grpc.aio.secure_channel(address, credentials, options=channel_options(address), interceptors=interceptors)
