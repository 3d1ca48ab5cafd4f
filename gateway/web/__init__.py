"""The HTTP port: Connect, gRPC-Web, MCP, server-sent events, webhooks, the live page, health and metrics."""
