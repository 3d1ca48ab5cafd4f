"""The gateway's tools for language models (Model Context Protocol). HTTP and stdio offer the same tools."""

INSTALL = "pip install 'hfgateway[mcp]'"
"""The command that installs the MCP library, which only this package needs."""


def needs_install(error: ModuleNotFoundError) -> bool:
    """Return whether an import failed because the MCP library is not installed."""
    return (error.name or "").partition(".")[0] in {"mcp", "mcp_types"}
