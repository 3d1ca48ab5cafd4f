"""What can be done with a generation whose id, or whose key, is all that you have, with asyncio."""

import asyncio

from hfgateway_client import AsyncClient, soul, state_name
from hfgateway_client.errors import NotCancelable


async def main() -> None:
    async with AsyncClient("127.0.0.1:50051") as client:
        submission = await client.submit(soul("a house in winter"), idempotency_key="house-1")
        print("as it is:", state_name(await client.get(submission.id)))

        # An hour later, in another process: by the key.
        async for found in client.list(idempotency_key="house-1"):
            done = await client.wait(found.id, timeout=60)
            print("at the end:", state_name(done), done.outputs[0].url)
            try:
                await client.cancel(done.id)
            except NotCancelable as error:
                print("too late:", error.metadata["state"])

        other = await client.submit(soul("a house in summer, never mind"), idempotency_key="house-2")
        print("canceled:", state_name(await client.cancel(other.id)))


asyncio.run(main())
