"""The HTTP port: Connect and gRPC-Web, health, metrics."""
