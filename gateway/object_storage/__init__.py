"""The storage of archived files: a local folder, or a bucket of an S3-compatible store."""
