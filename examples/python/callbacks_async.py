"""Generate an image, and call a function with every change of the generation, with asyncio."""

import asyncio

from hfgateway_client import AsyncClient, Generation, model, state_name


def on_progress(generation: Generation) -> None:
    """Print the id and the state: first when the generation is stored, then after every change."""
    print(generation.id, state_name(generation))


async def main() -> None:
    async with AsyncClient("127.0.0.1:50051") as client:
        lake = model("bytedance/seedream/v4/text-to-image", prompt="a lake at dawn", resolution="2K")
        generation = await client.generate(lake, on_progress=on_progress)
        print(generation.outputs[0].url)


asyncio.run(main())
