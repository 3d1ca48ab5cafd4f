"""The sandbox: a fake of the Higgsfield REST API that keeps an exact ledger of calls and charges.

It shares no code with the gateway, so that the same misunderstanding of the API cannot be in both. In a test::

    from gateway.sandbox.clock import ManualClock
    from gateway.sandbox.server import Sandbox, SandboxOptions

    clock = ManualClock()
    async with Sandbox(SandboxOptions(port=0, image_seconds=8), clock=clock) as sandbox:
        ...  # talk to sandbox.url with `Authorization: Key sandbox:sandbox`
        clock.advance(20)  # generations finish without waiting
        assert sandbox.ledger.double_charged_prompts == {}

Without a `clock` argument it runs in real time, sped up by `time_scale`. From outside the process:

- `GET /__ledger` returns the ledger (`?summary=1`: only its totals);
- `POST /__plan` queues faults for specific calls (`faults.py`);
- `POST /__account` changes an account's credits, credentials and settings (`accounts/settings.py`);
- `POST /__reset` discards all state.

If a submission names an `hf_webhook`, the sandbox sends a webhook there when the request ends (`webhooks/sender.py`).

The packages: `http` (routes and middleware), `accounts`, `generations`, `catalog` (models and presets as data),
`webhooks`, and `media` (output files).
"""
