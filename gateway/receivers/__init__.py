"""The way out to callers' receivers: which addresses may be called, and the one POST."""
