"""The API: transport-neutral handlers, the chain around them, and the transports that serve them.

The comment of an RPC in `protos/` specifies it, with its errors. Its handler has the same name, raises these errors as
GatewayError, and is called by the transports inside a guard (`chain.py`), which identifies the caller and converts what
is raised.
"""
