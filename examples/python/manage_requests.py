"""Find, await and cancel a generation by its id or its idempotency key."""

from hfgateway_client import Client, soul, state_name
from hfgateway_client.errors import NotCancelable

with Client("127.0.0.1:50051") as client:
    submission = client.submit(soul("a tree in winter"), idempotency_key="tree-1")
    print("current state:", state_name(client.get(submission.id)))

    # Another process finds it later by its idempotency key.
    (found,) = client.list(idempotency_key="tree-1")
    done = client.wait(found.id, timeout=60)
    print("final state:", state_name(done), done.outputs[0].url)
    try:
        client.cancel(done.id)
    except NotCancelable as error:
        print("too late:", error.metadata["state"])

    other = client.submit(soul("a tree in summer, never mind"), idempotency_key="tree-2")
    print("canceled:", state_name(client.cancel(other.id)))
