"""Converts requests and responses between protobuf messages and values of the core."""
