"""Who calls, and what for: API keys, watch tokens, and the identity that each call has."""
