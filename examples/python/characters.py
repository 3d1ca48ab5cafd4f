"""Characters (Soul IDs): train one, list all, and generate an image with it."""

from hfgateway_client import Client, character_state_name, soul

with Client("127.0.0.1:50051") as client:
    photos = [f"https://files.example/noor-{number}.jpg" for number in (1, 2, 3)]
    noor = client.train_character(
        "Noor",
        photos,
        idempotency_key="noor-1",  # training costs credits; with the same key it is charged once
        on_progress=lambda seen: print("training:", character_state_name(seen)),
    )
    for character in client.list_characters():
        print(character.name, character.id, character_state_name(character))
    portrait = soul("a portrait in a suit", character_id=noor.id, character_strength=1.0, resolution="1080p")
    print(client.generate(portrait).outputs[0].url)
