"""Higgsfield accounts that operators manage at runtime, with encrypted credentials."""
