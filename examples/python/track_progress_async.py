"""Submit a generation and watch its changes, with asyncio."""

import asyncio

from hfgateway_client import AsyncClient, model, state_name


async def main() -> None:
    async with AsyncClient("127.0.0.1:50051") as client:
        ball = model("bytedance/seedream/v4/text-to-image", prompt="a football in the snow", aspect_ratio="16:9")
        submission = await client.submit(ball, idempotency_key="football-2")
        async for generation in client.watch(submission.id):
            if not generation.done:
                print("state:", state_name(generation))
            elif generation.outputs:
                print("done:", generation.outputs[0].url)
            else:
                print("not generated:", generation.failure.message)


asyncio.run(main())
