"""Authentication: API keys, watch tokens, and the identity of each call."""
