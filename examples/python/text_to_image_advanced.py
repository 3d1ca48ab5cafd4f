"""Generate images with all options of Soul: a style, a character and a reference image."""

from hfgateway_client import Client, errors, soul, state_name

with Client("127.0.0.1:50051") as client:
    style = next(style for style in client.list_soul_styles() if style.name == "Tokyo Streets")
    photos = [f"https://files.example/mara-{number}.jpg" for number in (1, 2, 3)]
    mara = client.train_character("Mara", photos, idempotency_key="mara-1")
    city = soul(
        "a city of flying cars",
        width=2048,
        height=1152,
        resolution="1080p",
        batch_size=4,
        style_id=style.id,
        style_strength=0.9,
        character_id=mara.id,
        character_strength=0.7,
        image_reference_url="https://files.example/reference.jpg",
        enhance_prompt=True,
        seed=999,
    )
    try:
        generation = client.generate(city, idempotency_key="city-1")
    except errors.GenerationFailed as error:
        print("not generated:", error.message)
    else:
        for output in generation.outputs:
            print(state_name(generation), output.url, output.preview_url)
