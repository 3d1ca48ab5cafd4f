"""Find, await and cancel a generation by its id or its idempotency key, with asyncio."""

import asyncio

from hfgateway_client import AsyncClient, soul, state_name
from hfgateway_client.errors import NotCancelable


async def main() -> None:
    async with AsyncClient("127.0.0.1:50051") as client:
        submission = await client.submit(soul("a house in winter"), idempotency_key="house-1")
        print("current state:", state_name(await client.get(submission.id)))

        # Another process finds it later by its idempotency key.
        async for found in client.list(idempotency_key="house-1"):
            done = await client.wait(found.id, timeout=60)
            print("final state:", state_name(done), done.outputs[0].url)
            try:
                await client.cancel(done.id)
            except NotCancelable as error:
                print("too late:", error.metadata["state"])

        other = await client.submit(soul("a house in summer, never mind"), idempotency_key="house-2")
        print("canceled:", state_name(await client.cancel(other.id)))


asyncio.run(main())
