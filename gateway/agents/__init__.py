"""Conversations with Higgsfield's agents."""
