"""Submit a generation, wait for its end, and print the URL of its output, with asyncio."""

import asyncio

from hfgateway_client import AsyncClient, model


async def main() -> None:
    async with AsyncClient("127.0.0.1:50051") as client:
        lake = model("bytedance/seedream/v4/text-to-image", prompt="the lake from the air", resolution="2K")
        generation = await client.generate(lake)
        print(generation.outputs[0].url)


asyncio.run(main())
