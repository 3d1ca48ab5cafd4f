"""Make a portrait speak the words of a WAV file."""

from hfgateway_client import Client, speak

with Client("127.0.0.1:50051") as client:
    talk = speak(
        "https://files.example/portrait.jpg",
        "https://files.example/welcome.wav",
        "a calm presentation",
        quality="mid",
        duration_seconds=5,
    )
    print(client.generate(talk).outputs[0].url)
