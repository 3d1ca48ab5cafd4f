"""What can be done with a generation whose id, or whose key, is all that you have."""

from hfgateway_client import Client, soul, state_name
from hfgateway_client.errors import NotCancelable

with Client("127.0.0.1:50051") as client:
    submission = client.submit(soul("a tree in winter"), idempotency_key="tree-1")
    print("as it is:", state_name(client.get(submission.id)))

    # An hour later, in another process: by the key.
    (found,) = client.list(idempotency_key="tree-1")
    done = client.wait(found.id, timeout=60)
    print("at the end:", state_name(done), done.outputs[0].url)
    try:
        client.cancel(done.id)
    except NotCancelable as error:
        print("too late:", error.metadata["state"])

    other = client.submit(soul("a tree in summer, never mind"), idempotency_key="tree-2")
    print("canceled:", state_name(client.cancel(other.id)))
