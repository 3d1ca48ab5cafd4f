"""Rendering of the sandbox's output files."""
