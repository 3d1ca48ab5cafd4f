"""Turn an image into a video of five seconds with the Director of Photography model."""

from hfgateway_client import Client, dop

with Client("127.0.0.1:50051") as client:
    moving = dop("the camera circles the subject", "https://files.example/portrait.jpg", variant="turbo")
    print(client.generate(moving).outputs[0].url)
