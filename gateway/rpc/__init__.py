"""The API: transport-neutral handlers, the chain around them, and the adapters that serve them.

The comment of an RPC in `protos/` specifies it, with its errors. Its handler has the same name, raises these errors as
GatewayError, and is called by the adapters `over_grpc.py`, `over_connect.py` and `over_mcp.py` inside a guard
(`chain.py`), which identifies the caller and converts what is raised.
"""
