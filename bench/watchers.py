"""A process that opens many watches at once and keeps them open.

`python -m bench.watchers ADDRESS CONNECTIONS [AUTHORIZATION]` connects, then reads lines of JSON with `method`,
`request` (hex) and `count`. It answers each line with a line: the number of streams `opened`, which means that they
received a message, the `seconds` until the last of them did, and the errors of the streams that were lost.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import grpc

OPTIONS = (("grpc.use_local_subchannel_pool", 1),)
WAIT_TIMEOUT = 60.0


class Watchers:
    """Streams on a number of connections."""

    def __init__(self, address: str, connections: int, authorization: str) -> None:
        self._channels = [grpc.aio.insecure_channel(address, options=OPTIONS) for _ in range(connections)]
        self._metadata = (("authorization", authorization),) if authorization else ()
        self._streams: list[Any] = []

    async def connect(self) -> None:
        """Open all connections, so that this time is not measured."""
        await asyncio.gather(*(channel.channel_ready() for channel in self._channels))

    async def open(self, method: str, request: bytes, count: int) -> dict[str, Any]:
        """Open `count` streams at once, and wait for the first message of each."""
        methods = [channel.unary_stream(method) for channel in self._channels]
        start = time.perf_counter()
        self._streams = [methods[n % len(methods)](request, metadata=self._metadata) for n in range(count)]
        ends = await asyncio.gather(*(self._first(stream) for stream in self._streams))
        return {"seconds": time.perf_counter() - start, "opened": ends.count(""), "lost": Counter(filter(None, ends))}

    async def _first(self, stream: Any) -> str:
        """Return "" when the stream has received a message, or the error with which it ended before."""
        try:
            async with asyncio.timeout(WAIT_TIMEOUT):
                message = await stream.read()
            return str(await stream.code()) if message is grpc.aio.EOF else ""
        except grpc.aio.AioRpcError as error:
            return str(error.code())
        except TimeoutError:
            return "no message"


async def main(address: str, connections: int, authorization: str) -> None:
    """Handle lines until the end of stdin."""
    watchers = Watchers(address, connections, authorization)
    await watchers.connect()
    print(f"watchers: on {address}", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        plan = json.loads(line)
        result = await watchers.open(plan["method"], bytes.fromhex(plan["request"]), plan["count"])
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
