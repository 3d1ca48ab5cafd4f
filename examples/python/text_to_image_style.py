"""Generate four images in a style from the catalog. Each output has its own state."""

from hfgateway_client import Client, GenerationState, soul

with Client("127.0.0.1:50051") as client:
    noir = next(style for style in client.list_soul_styles() if style.name == "Film Noir")
    portrait = soul(
        "an old man who has seen much",
        style_id=noir.id,
        style_strength=0.8,
        width=1536,
        height=2048,
        resolution="1080p",
        batch_size=4,
        enhance_prompt=False,
        seed=12345,
    )
    for number, output in enumerate(client.generate(portrait).outputs, 1):
        if output.state == GenerationState.GENERATION_STATE_COMPLETED:
            print(number, output.url, output.preview_url)
