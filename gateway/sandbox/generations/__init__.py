"""Generations of the sandbox: their states, the queue of an account, idempotency keys and prompt directives."""
