"""Serves the tools over MCP. Only this module and the two that open transports use the MCP library."""

import logging
import secrets
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from gateway.mcp.port import GatewayPort, RefusedError
from gateway.mcp.tool import Report, Tool, refusal
from hfgateway.v1 import error_pb2

log = logging.getLogger(__name__)

Context = Any
"""The library's context of a request."""
INSTRUCTIONS = (
    "Generates images and videos with Higgsfield through a gateway that never charges twice for one generation. "
    "Start with generate. If it is not done in time, continue with wait_generation. Repeat a call that timed out or "
    "failed with exactly the same arguments."
)


def mcp_server(tools: Iterable[Tool], port_of: Callable[[Context], GatewayPort]) -> "Server[Any]":
    """Return the server. `port_of` returns the gateway with the credentials of the caller of a request."""
    known = {tool.name: tool for tool in tools}
    listed = types.ListToolsResult(tools=[_tool_definition(tool) for tool in known.values()])

    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return listed

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = known.get(params.name)
        if tool is None:
            raise MCPError(code=types.INVALID_PARAMS, message="unknown tool")

        async def report(progress: float, message: str) -> None:
            await context.session.report_progress(progress, 1.0, message)

        return await _answer(tool, port_of(context), params.arguments or {}, report)

    return Server(
        "hfgateway",
        title="Higgsfield Gateway",
        version=version("hfgateway"),
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda name: known[name].arguments if name in known else None,
    )


async def _answer(tool: Tool, port: GatewayPort, arguments: dict[str, Any], report: Report) -> types.CallToolResult:
    try:
        result = await tool(port, arguments, report)
    except Exception:
        # The exception is only logged. The library would send its text to the caller.
        incident = secrets.token_hex(6)
        log.exception("a tool failed unexpectedly", extra={"tool": tool.name, "incident": incident})
        failure = error_pb2.Failure(
            reason=error_pb2.ERROR_REASON_INTERNAL,
            message=f"internal error, incident {incident}",
            metadata={"incident": incident},
        )
        result = refusal(RefusedError("INTERNAL", failure))
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=result.text)],
        structured_content=result.content,
        is_error=result.is_error,
    )


def _tool_definition(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.arguments,
        annotations=types.ToolAnnotations(
            read_only_hint=not tool.is_write,
            destructive_hint=tool.is_destructive,
            idempotent_hint=tool.is_idempotent,
            open_world_hint=True,
        ),
    )
