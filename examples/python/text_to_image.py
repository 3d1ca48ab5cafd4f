"""Generate an image with Soul, in one of the sizes of the v1 API."""

from hfgateway_client import Client, soul

with Client("127.0.0.1:50051") as client:
    mountains = soul("mountains at dusk, in oil", width=1536, height=1536, resolution="720p", enhance_prompt=True)
    print(client.generate(mountains).outputs[0].url)
