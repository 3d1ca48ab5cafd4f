"""The gateway's tools for language models (Model Context Protocol). HTTP and stdio offer the same tools."""
