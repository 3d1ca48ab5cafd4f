"""Receives Higgsfield's webhooks: their addresses, and the inbox that stores, verifies and applies them."""
