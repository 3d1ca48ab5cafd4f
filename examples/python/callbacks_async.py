"""One call that tells what happens on the way, with asyncio."""

import asyncio

from hfgateway_client import AsyncClient, Generation, model, state_name


def on_progress(generation: Generation) -> None:
    """Called with the generation as it was stored, then with every change."""
    print(generation.id, state_name(generation))


async def main() -> None:
    async with AsyncClient("127.0.0.1:50051") as client:
        lake = model("bytedance/seedream/v4/text-to-image", prompt="a lake at dawn", resolution="2K")
        generation = await client.generate(lake, on_progress=on_progress)
        print(generation.outputs[0].url)


asyncio.run(main())
