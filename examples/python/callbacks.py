"""Generate an image, and call a function with every change of the generation."""

from hfgateway_client import Client, Generation, model, state_name


def on_progress(generation: Generation) -> None:
    """Print the id and the state. The first call comes once the gateway has stored it, before Higgsfield gets it."""
    print(generation.id, state_name(generation))


with Client("127.0.0.1:50051") as client:
    lake = model("bytedance/seedream/v4/text-to-image", prompt="a lake at sunset", resolution="2K")
    print(client.generate(lake, on_progress=on_progress).outputs[0].url)
