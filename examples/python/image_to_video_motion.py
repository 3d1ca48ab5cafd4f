"""Generate a video with a motion from the catalog, selected by its name."""

from hfgateway_client import Client, dop

with Client("127.0.0.1:50051") as client:
    zoom = next(motion for motion in client.list_motions("zoom") if motion.name == "Zoom In")
    print(f"{zoom.name}: {zoom.description}")
    zoomed = dop("closer, and closer", "https://files.example/portrait.jpg", motions={zoom.id: 0.8})
    print(client.generate(zoomed).outputs[0].url)
