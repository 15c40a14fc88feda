"""What tools did that Anthropic ran itself, as the items that the Responses API has for it.

A call is shown when its result is there. What has no item (searches for tools, edits of files in a
container) is in the native turn only.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from responses_mw.adapters.upstream_json import text_or_none

Json = dict[str, Any]

CALLS = ("server_tool_use", "mcp_tool_use")
SOURCES = "web_search_call.action.sources"
"""As `include` names them."""

_CODE = {"code_execution": "code", "bash_code_execution": "command"}
"""The tools that run code, and the input that it is."""


def hosted_item(call: Json, result: Json, *, sources: bool) -> Json | None:
    """`sources`: whether the pages that a search found are wanted."""
    name, given = call["name"], call["input"]
    if call["type"] == "mcp_tool_use":
        return _mcp_call(call, result)
    if name in _CODE:
        return _code_interpreter_call(call, result["content"])
    match name:
        case "web_search":
            action: Json = {"type": "search", "query": text_or_none(given.get("query")) or ""}
            if sources:
                action["sources"] = [{"type": "url", "url": url} for url in _pages(result)]
        case "web_fetch":
            action = {"type": "open_page", "url": text_or_none(given.get("url"))}
        case _:
            return None
    return {"type": "web_search_call", "status": _status(result["content"]), "action": action}


def _status(content: Any) -> str:
    failed = isinstance(content, dict) and content["type"].endswith("_error")
    return "failed" if failed else "completed"


def _pages(result: Mapping[str, Any]) -> Iterator[str]:
    content = result["content"]
    for found in content if isinstance(content, list) else ():
        if (url := text_or_none(found.get("url"))) is not None:
            yield url


def _code_interpreter_call(call: Json, content: Json) -> Json:
    logs = "".join(text_or_none(content.get(name)) or "" for name in ("stdout", "stderr"))
    return {
        "type": "code_interpreter_call",
        "status": _status(content),
        # Which container it was is said at the end of the message, if at all.
        "container_id": call["id"],
        "code": text_or_none(call["input"].get(_CODE[call["name"]])),
        "outputs": [{"type": "logs", "logs": logs}] if logs else [],
    }


def _mcp_call(call: Json, result: Json) -> Json:
    content = result["content"]
    text = content if isinstance(content, str) else "".join(p.get("text", "") for p in content)
    failed = bool(result.get("is_error"))
    return {
        "type": "mcp_call",
        "status": "failed" if failed else "completed",
        "name": call["name"],
        "server_label": call["server_name"],
        "arguments": orjson.dumps(call["input"]).decode(),
        "output": None if failed else text,
        "error": text if failed else None,
    }
