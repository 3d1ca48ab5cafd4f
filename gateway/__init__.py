"""Higgsfield Gateway: a typed gRPC API in front of the Higgsfield generation API."""
