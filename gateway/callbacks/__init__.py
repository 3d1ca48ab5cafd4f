"""Callbacks: webhooks to callers. Independent of the transport and the database."""
