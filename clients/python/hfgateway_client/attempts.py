"""Runs attempts of calls, and converts everything that gRPC raises into the errors of the client. Performs no I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from hfgateway_client.errors import ClientClosed
from hfgateway_client.status import error_from_rpc


class Attempts:
    """Whether the client is closed, for the errors of its calls."""

    def __init__(self) -> None:
        self.closed = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Run one attempt of a call in the block.

        Raises:
            ClientClosed: The client was closed before or during the attempt.
            GatewayError: The call failed.
        """
        if self.closed:
            raise ClientClosed
        try:
            yield
        except asyncio.CancelledError:
            # Closing the channel cancels its calls, and with them the tasks that wait for them. A task that its owner
            # has canceled must stay canceled.
            task = asyncio.current_task()
            if self.closed and not (task and task.cancelling()):
                raise ClientClosed from None
            raise
        except grpc.RpcError as cause:
            if self.closed:
                raise ClientClosed from cause
            raise error_from_rpc(cause) from cause
