"""Talk to one of Higgsfield's agents, with asyncio. `[ask]` makes the sandbox's agent ask a question."""

import asyncio

from hfgateway_client import AsyncClient


async def main() -> None:
    async with AsyncClient("127.0.0.1:50051") as client:
        session = await client.agents.create_session(idempotency_key="talk-2")
        turn = await client.agents.ask(session.id, "Draw a lake in autumn. [ask]")
        while turn.is_question:
            print("question:", turn.text)
            turn = await client.agents.ask(session.id, "In oil.")
        print("answer:", turn.text)


asyncio.run(main())
