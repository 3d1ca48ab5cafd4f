"""The API: transport-neutral handlers, the chain around them, and the adapters that serve them."""
