"""Runs attempts of calls, and converts everything that gRPC raises into the errors of the client. Performs no I/O.

Until a client has reached its gateway, a failure to connect may be a mistake in its options. `_MISTAKES` names the
causes that a retry cannot change: such a failure is not retried. A refused connection is: the gateway may be starting.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from hfgateway.v1.error_pb2 import Failure
from hfgateway_client.errors import ClientClosed, DeadlineExceeded, GatewayError, Unavailable
from hfgateway_client.status import error_from_rpc

# Parts of gRPC's texts: an unknown name, no HOST:PORT, an untrusted certificate, one for another name, and a gateway
# without TLS.
_MISTAKES = re.compile(
    "Domain name not found|Name or service not known|Misformatted domain name|Unparsable name|Failed to parse port"
    "|CERTIFICATE_VERIFY_FAILED|Hostname Verification|WRONG_VERSION_NUMBER"
)


def received(response: Any) -> Any:
    """Return the response of a call, or a message of a stream, that must be there.

    Raises:
        Unavailable: It is None: the call ended with OK and without it, or gRPC could not read it. The gateway ends no
            call like this, so that it counts as cut off by a proxy.
    """
    if response is None:
        raise Unavailable("ended without its last message", code=grpc.StatusCode.INTERNAL, reason="", failure=Failure())
    return response


class Attempts:
    """The address of the gateway and the state of the client, for the errors of its calls."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._reached = False
        self._closed = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Run one attempt of a call in the block.

        Raises:
            ClientClosed: The client was closed before or during the attempt.
            GatewayError: The call failed.
        """
        try:
            yield
            self._reached = True
        except (grpc.RpcError, ValueError, asyncio.CancelledError) as cause:
            if isinstance(cause, asyncio.CancelledError) and (task := asyncio.current_task()) and task.cancelling():
                raise  # a task that its owner has canceled must stay canceled
            # Closing the channel cancels its calls, and gRPC raises ValueError for a call that starts on a closed one.
            if self._closed:
                raise ClientClosed from cause
            if isinstance(cause, asyncio.CancelledError):
                # grpc.aio cancels an upload itself if the connection is lost while it ends the stream of requests.
                received(None)
            if not isinstance(cause, grpc.RpcError):
                raise
            raise self._error(cause) from cause

    def _error(self, cause: grpc.RpcError) -> GatewayError:
        error = error_from_rpc(cause)
        if error.reason:
            self._reached = True
        elif self._address and isinstance(error, Unavailable):
            error.permanent = not self._reached and _MISTAKES.search(error.message) is not None
            error.message = f"the connection to {self._address} failed: {error.message}"
        elif self._address and isinstance(error, DeadlineExceeded):
            error.message = f"the call to {self._address} timed out: {error.message}"
        return error
