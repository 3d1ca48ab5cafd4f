"""The archive: copies of finished outputs that outlive Higgsfield's own. See docs/archive.md."""
