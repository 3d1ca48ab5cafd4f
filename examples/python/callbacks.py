"""One call that tells what happens on the way: once as it is stored, then with every change."""

from hfgateway_client import Client, Generation, model, state_name


def on_progress(generation: Generation) -> None:
    """Called first with the generation as it was stored: its id is known before Higgsfield has seen anything."""
    print(generation.id, state_name(generation))


with Client("127.0.0.1:50051") as client:
    lake = model("bytedance/seedream/v4/text-to-image", prompt="a lake at sunset", resolution="2K")
    print(client.generate(lake, on_progress=on_progress).outputs[0].url)
