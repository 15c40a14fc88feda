"""Tools that Anthropic runs itself, by the names that the Responses API has for them.

What of an option cannot be said is left out by name; what would be unsafe to leave out is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from responses_mw.errors import UnsupportedByProvider

Json = dict[str, Any]
LeaveOut = Callable[[str, str], None]

NAMES = {
    "web_search": "web_search",
    "web_search_2025_08_26": "web_search",
    "web_search_preview": "web_search",
    "web_search_preview_2025_03_11": "web_search",
    "code_interpreter": "code_execution",
}
"""What a tool is called when it is demanded; a server of MCP tools has no name of its own."""

_SEARCH, _CODE = "web_search_20250305", "code_execution_20250825"
_CODE_BETA, _MCP_BETA = "code-execution-2025-08-25", "mcp-client-2025-11-20"
_DEFAULTS: Mapping[str, Any] = {
    "search_context_size": "medium",
    "external_web_access": True,
    "container": {"type": "auto"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTool:
    """`block` stands among the tools; `server` among the MCP servers."""

    block: Json
    server: Json | None = None
    beta: str | None = None


def server_tool(tool: Mapping[str, Any], place: str, leave_out: LeaveOut) -> ServerTool | None:
    """None: Anthropic runs no such tool."""
    match NAMES.get(tool["type"], tool["type"]):
        case "web_search":
            return ServerTool(block=_search(tool, place, leave_out))
        case "code_execution":
            _check_options(tool, ("type",), place, leave_out)
            return ServerTool(block={"type": _CODE, "name": "code_execution"}, beta=_CODE_BETA)
        case "mcp":
            return _mcp(tool, place, leave_out)
        case _:
            return None


def _search(tool: Mapping[str, Any], place: str, leave_out: LeaveOut) -> Json:
    block: Json = {"type": _SEARCH, "name": "web_search"}
    filters = tool.get("filters") or {}
    for name in ("allowed_domains", "blocked_domains"):
        if filters.get(name):
            block[name] = list(filters[name])
    location = tool.get("user_location")
    if location:
        known = {key: value for key, value in location.items() if value is not None}
        block["user_location"] = {**known, "type": "approximate"}
    _check_options(tool, ("type", "filters", "user_location"), place, leave_out)
    return block


def _mcp(tool: Mapping[str, Any], place: str, leave_out: LeaveOut) -> ServerTool:
    if not tool.get("server_url"):
        raise UnsupportedByProvider(
            "Anthropic reaches MCP servers by their address; send server_url", param=place
        )
    if tool.get("require_approval") != "never":
        raise UnsupportedByProvider(
            "Anthropic calls the tools of an MCP server without asking for approval; allow it with "
            'require_approval: "never"',
            param=f"{place}.require_approval",
        )
    label = tool["server_label"]
    server = {"type": "url", "name": label, "url": tool["server_url"]}
    token = _token(tool, place)
    if token is not None:
        server["authorization_token"] = token
    block: Json = {"type": "mcp_toolset", "mcp_server_name": label}
    allowed = _allowed(tool.get("allowed_tools"), place)
    if allowed is not None:
        block["default_config"] = {"enabled": False}
        block["configs"] = {name: {"enabled": True} for name in allowed}
    said = ("type", "server_label", "server_url", "require_approval", "authorization", "headers")
    _check_options(tool, (*said, "allowed_tools"), place, leave_out)
    return ServerTool(block=block, server=server, beta=_MCP_BETA)


def _token(tool: Mapping[str, Any], place: str) -> str | None:
    """Of the headers, only that which bears a token can be sent."""
    token: str | None = tool.get("authorization")
    for name, value in (tool.get("headers") or {}).items():
        if name.lower() != "authorization" or not value.lower().startswith("bearer "):
            raise UnsupportedByProvider(
                f"Anthropic sends an MCP server no header {name!r}; a bearer token is all",
                param=f"{place}.headers",
            )
        token = token or value[len("bearer ") :].strip()
    return token


def _allowed(allowed: Any, place: str) -> list[str] | None:
    """Names. More tools than were allowed are never offered."""
    if allowed is None or isinstance(allowed, list):
        return allowed
    if allowed.get("read_only") is not None or allowed.get("tool_names") is None:
        raise UnsupportedByProvider(
            "Anthropic takes the tools of an MCP server by name; send tool_names",
            param=f"{place}.allowed_tools",
        )
    return list(allowed["tool_names"])


def _check_options(
    tool: Mapping[str, Any], said: tuple[str, ...], place: str, leave_out: LeaveOut
) -> None:
    for name in _unsaid(tool, said):
        leave_out(f"{place}.{name}", "Anthropic's own tool has no such option")


def _unsaid(tool: Mapping[str, Any], said: tuple[str, ...]) -> Iterator[str]:
    for name, value in tool.items():
        if name not in said and value is not None and value != _DEFAULTS.get(name):
            yield name
