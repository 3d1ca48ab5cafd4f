# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Creates the gRPC channel to the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from hfgateway_client.channel import channel_options


def open_channel(
    address: str, credentials: grpc.ChannelCredentials | None, interceptors: Sequence[Any]
) -> grpc.Channel:
    """Return a channel. It connects at the first call, and reconnects whenever the connection is lost."""
    if credentials is None:
        return grpc.intercept_channel(grpc.insecure_channel(address, options=channel_options(address)), *interceptors)
    return grpc.intercept_channel(
        grpc.secure_channel(address, credentials, options=channel_options(address)), *interceptors
    )
