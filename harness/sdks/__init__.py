"""The official SDKs as they are published: where they are installed, and how to let one submit many generations."""
