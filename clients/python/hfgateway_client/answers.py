"""The answer of a call that streams its requests, with the status that the server gave it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import grpc


async def answer_of(call: Any) -> Any:
    """What a stream-unary call of grpc.aio is answered with. Raises grpc.aio.AioRpcError with the server's status.

    A server may end a call while a request is being written, as one does that refuses an upload. The call then has
    two ends for grpc.aio, the status that came and the write that failed, which it calls INTERNAL; it notices them in
    either order and keeps the later one. The earlier one is read here when it is noticed, for where the write was kept.
    """
    earlier: list[grpc.aio.AioRpcError] = []
    call.add_done_callback(lambda ended: earlier.append(_status_of(ended)))
    try:
        return await call
    except grpc.aio.AioRpcError as kept:
        if kept.code() is grpc.StatusCode.INTERNAL and not kept.trailing_metadata() and earlier:
            raise earlier[0] from kept
        raise


def _status_of(ended: Any) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        code=_at_once(ended.code()),
        initial_metadata=grpc.aio.Metadata(),
        trailing_metadata=_at_once(ended.trailing_metadata()),
        details=_at_once(ended.details()),
    )


def _at_once(accessor: Coroutine[Any, Any, Any]) -> Any:
    """What an accessor of an ended call gives: it waits for nothing, and a moment later it may give something else."""
    try:
        accessor.send(None)
    except StopIteration as given:
        return given.value
    accessor.close()
    raise RuntimeError("the call has not ended")
