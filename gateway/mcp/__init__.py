"""The gateway's tools for language models, over the Model Context Protocol: the same ones over HTTP and over stdio."""

INSTALL = "pip install 'hfgateway[mcp]'"
"""What brings the library that this package needs and the rest of the gateway does not."""


def needs_install(error: ModuleNotFoundError) -> bool:
    """Whether it is for want of that library that something could not be imported."""
    return (error.name or "").partition(".")[0] in {"mcp", "mcp_types"}
