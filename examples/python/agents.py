"""A conversation with one of Higgsfield's agents, which asks back; `[ask]` is a word that the sandbox obeys."""

from hfgateway_client import Client

with Client("127.0.0.1:50051") as client:
    session = client.agents.create_session(idempotency_key="talk-1")
    turn = client.agents.ask(session.id, "Draw a lake in the alps. [ask]")
    while turn.is_question:
        print("asked:", turn.text)
        turn = client.agents.ask(session.id, "As a photograph.")
    print("answer:", turn.text)

    photo = client.agents.upload_media("start.png")
    client.agents.ask(session.id, f"Set this picture in motion: {photo}")
    for message in client.agents.messages(session.id):
        print("-", message.text)
