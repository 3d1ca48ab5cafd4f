# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""The synchronous client."""
