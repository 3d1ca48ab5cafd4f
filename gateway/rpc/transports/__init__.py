"""Serves the handlers over gRPC, Connect, gRPC-Web and MCP."""
