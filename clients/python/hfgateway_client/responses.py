"""The response of a stream-unary call, with the status that the server sent."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import grpc


async def result_of(call: Any) -> Any:
    """Await the response of a stream-unary call of grpc.aio.

    If the server ends the call while a request is being written, as it does when it refuses an upload, grpc.aio sees
    two ends: the status of the server, and the failed write, which it reports as INTERNAL. It notices them in either
    order and keeps the later one. This function records the first one, and raises it if the kept one is the failed
    write.

    Raises:
        grpc.aio.AioRpcError: The call failed. Its code, details and trailing metadata are those of the server.
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
        code=_result_now(ended.code()),
        initial_metadata=grpc.aio.Metadata(),
        trailing_metadata=_result_now(ended.trailing_metadata()),
        details=_result_now(ended.details()),
    )


def _result_now(accessor: Coroutine[Any, Any, Any]) -> Any:
    """Run an accessor of an ended call without awaiting it, because its result may change at the next await."""
    try:
        accessor.send(None)
    except StopIteration as returned:
        return returned.value
    accessor.close()
    raise RuntimeError("the call has not ended")
