"""Submit a generation, wait for its end, and print the URL of its output."""

from hfgateway_client import Client, model

with Client("127.0.0.1:50051") as client:
    lake = model("bytedance/seedream/v4/text-to-image", prompt="a lake between mountains", resolution="2K")
    generation = client.generate(lake)
    print(generation.outputs[0].url)
