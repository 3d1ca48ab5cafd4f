"""Talk to one of Higgsfield's agents, and answer its questions. `[ask]` makes the sandbox's agent ask one."""

from hfgateway_client import Client

with Client("127.0.0.1:50051") as client:
    session = client.agents.create_session(idempotency_key="talk-1")
    turn = client.agents.ask(session.id, "Draw a lake in the alps. [ask]")
    while turn.is_question:
        print("question:", turn.text)
        turn = client.agents.ask(session.id, "As a photograph.")
    print("answer:", turn.text)

    photo = client.agents.upload_media("start.png")
    client.agents.ask(session.id, f"Animate this image: {photo}")
    for message in client.agents.messages(session.id):
        print("-", message.text)
