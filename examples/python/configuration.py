"""The usual options of a client. Higgsfield's credentials are configured in the gateway, not in its clients."""

import os

from hfgateway_client import Client, RetryPolicy, soul

client = Client(
    "127.0.0.1:50051",
    api_key=os.environ.get("HFGATEWAY_API_KEY"),
    tls=False,  # True, or TlsConfig(ca="ca.pem"), for a remote gateway
    timeout=20.0,  # seconds for one call, including retries; a generation may take longer
    retry=RetryPolicy(first_delay=0.5, max_delay=20.0, resume_watches_for=300.0),
)
with client:
    estimate = client.estimate(soul("a lake", batch_size=4))
    print("costs", estimate.cost.credits)
    generation = client.generate(soul("a lake under stars"), timeout=120.0, labels={"project": "lakes"})
    print(generation.outputs[0].url)
    print("of the project:", len(list(client.list(labels={"project": "lakes"}))))
