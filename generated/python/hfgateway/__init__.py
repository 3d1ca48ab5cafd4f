"""Generated from protos/ by tools/generate.py."""
