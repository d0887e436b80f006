"""Z.AI's MCP servers: a JSON-RPC that knows its tools and answers a call with what it was called with. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_TOOLS = {
    "web_search_prime": ("web_search_prime", "search_query"),
    "web_reader": ("webReader", "url"),
    "zread": ("search_doc", "query"),
}
_PROTOCOL = "2025-06-18"


def is_tool_call(body: object) -> bool:
    """Whether a body calls a tool, which counts against the month's calls."""
    return isinstance(body, dict) and body.get("method") == "tools/call"


def respond(server: str, body: object) -> dict[str, object] | None:
    """The JSON-RPC answer, or None to a notification, which gets none."""
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0" or not isinstance(body.get("method"), str):
        return _error(None, -32600, "Invalid Request")
    if "id" not in body:
        return None
    params = body.get("params")
    return _result(server, body["id"], body["method"], params if isinstance(params, dict) else {})


def _result(server: str, call_id: object, method: str, params: Mapping[str, object]) -> dict[str, object]:
    match method:
        case "initialize":
            result: dict[str, object] = {
                "protocolVersion": params.get("protocolVersion", _PROTOCOL),
                "capabilities": {"tools": {"listChanged": False}},
                "serverInfo": {"name": server, "version": "1.0.0"},
            }
        case "ping":
            result = {}
        case "tools/list":
            result = {"tools": [_tool(server)]}
        case "tools/call":
            arguments = params.get("arguments")
            text = f"{params.get('name')} was called with {arguments if isinstance(arguments, dict) else {}}"
            result = {"content": [{"type": "text", "text": text}], "isError": False}
        case _:
            return _error(call_id, -32601, f"Method not found: {method[:80]}")
    return {"jsonrpc": "2.0", "id": call_id, "result": result}


def _tool(server: str) -> dict[str, object]:
    name, argument = _TOOLS[server]
    schema = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"name": name, "description": f"The tool of {server}.", "inputSchema": schema}


def _error(call_id: object, code: int, message: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": call_id, "error": {"code": code, "message": message}}
