"""Webhooks that the sandbox sends: payloads, signatures and delivery."""
