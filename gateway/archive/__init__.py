"""The archive copies outputs to a folder or bucket, so that they outlive Higgsfield's storage. See docs/archive.md."""
