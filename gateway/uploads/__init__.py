"""Uploads of media to Higgsfield's storage."""
