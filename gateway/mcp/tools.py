"""The list of all tools."""

from gateway.mcp.catalogs import catalog_tools
from gateway.mcp.files import Files
from gateway.mcp.generations import generation_tools
from gateway.mcp.media import upload_tool
from gateway.mcp.tool import Tool


def all_tools(files: Files | None = None) -> tuple[Tool, ...]:
    """Return all tools, in the order of their listing. With `files`, media can be uploaded from there as well."""
    return (*generation_tools(), upload_tool(files), *catalog_tools())
