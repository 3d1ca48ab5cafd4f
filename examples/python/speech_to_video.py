"""A portrait says what a WAV file says."""

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
