"""Submit a generation and watch its changes. The client does not poll, and it resumes after a lost connection."""

from hfgateway_client import Client, model, state_name

with Client("127.0.0.1:50051") as client:
    ball = model("bytedance/seedream/v4/text-to-image", prompt="a football in the rain", aspect_ratio="16:9")
    submission = client.submit(ball, idempotency_key="football-1")
    for generation in client.watch(submission.id):
        match state_name(generation):
            case "COMPLETED":
                print("done:", generation.outputs[0].url)
            case "FAILED" | "NSFW" | "CANCELED" | "LOST":
                print("not generated:", generation.failure.message)
            case state:
                print("state:", state)
