"""Where archived files lie: a folder, or a bucket of anything that speaks S3."""
