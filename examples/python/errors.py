"""Errors and their properties. The sandbox fails prompts that contain `[fail]` or `[nsfw]`."""

from hfgateway_client import AnyInput, Client, errors, model, soul, state_name


def attempt(client: Client, wanted: AnyInput) -> None:
    """Generate, or print the error. The most specific classes come first."""
    try:
        print("done:", client.generate(wanted).outputs[0].url)
    except errors.InvalidInput as error:
        print("wrong:", *(f"{wrong.field} {wrong.description}" for wrong in error.field_violations))
    except errors.GenerationRefused as error:  # INSUFFICIENT_CREDITS, MODEL_UNKNOWN, …: not charged
        print("refused:", error.reason)
    except errors.GenerationFailed as error:
        print("ended:", state_name(error.generation), error.reason)
    except errors.GatewayError as error:  # INVALID_CREDENTIALS, GATEWAY_UNAVAILABLE, …
        print("failed:", error.reason, "try again" if error.retryable else "give up")


with Client("127.0.0.1:50051") as client:
    attempt(client, soul("a lake", seed=0, style_strength=1.5))
    attempt(client, model("no/such-model", prompt="a lake"))
    attempt(client, soul("[fail] a lake"))
    attempt(client, soul("[nsfw] a lake"))
