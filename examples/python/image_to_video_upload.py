"""Upload an image, and turn it into a video with two motions. A watch reports the result, instead of a webhook."""

from hfgateway_client import Client, dop, state_name

with Client("127.0.0.1:50051") as client:
    start = client.upload("start.png", "image/png")
    motions = {motion.name: motion.id for motion in client.list_motions()}
    drama = dop(
        "a slow dolly zoom, dramatic light",
        start.url,
        variant="standard",
        motions={motions["Dolly Left"]: 0.7, motions["Zoom Out"]: 0.5},
        seed=42,
        enhance_prompt=True,
    )
    submission = client.submit(drama, idempotency_key="drama-1")
    for generation in client.watch(submission.id):
        if generation.done:
            print(state_name(generation), *(output.url for output in generation.outputs))
