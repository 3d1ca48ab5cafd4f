"""A fake of the Higgsfield REST API that keeps an exact account of what it was asked and what it charged.

It shares no code with the gateway, so that a misunderstanding of the API cannot hide in both. In a test::

    from gateway.sandbox.clock import ManualClock
    from gateway.sandbox.server import Sandbox, SandboxOptions

    clock = ManualClock()
    async with Sandbox(SandboxOptions(port=0, image_seconds=8), clock=clock) as sandbox:
        ...  # talk to sandbox.url with `Authorization: Key sandbox:sandbox`
        clock.advance(20)  # generations finish without waiting
        assert sandbox.ledger.double_charged_prompts == {}

Without a clock of its own it runs in real time, `time_scale` times faster. From outside the process the same account is
`GET /__ledger` (`?summary=1` for the numbers alone); `POST /__plan` queues exact faults (`faults.py` says which),
`POST /__account` changes credits, credentials and terms (`accounts/settings.py`), `POST /__reset` begins anew.

Where a submission names an `hf_webhook`, the end of its request is told there by itself (`webhooks/sender.py`).
"""
