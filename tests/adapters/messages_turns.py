"""Short ways to write turns, and to see what the Messages adapter makes of them."""

from typing import Any

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import UpstreamRequest
from responses_mw.turn import Item, Span, Turn

PLAIN = AnthropicMessages(cache=None)
SCOPE = "anthropic:claude-sonnet-4-5"
PNG = "iVBORw0KGgo="


def message(role: str, *parts: Any) -> Item:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": p} if isinstance(p, str) else p for p in parts]
    return {"type": "message", "role": role, "content": content}


def call(call_id: str, arguments: str = "{}", name: str = "look") -> Item:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def output(call_id: str, said: Any = "fine") -> Item:
    return {"type": "function_call_output", "call_id": call_id, "output": said}


def function(name: str = "look", **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"at": {"type": "string"}}}
    return {"type": "function", "name": name, "parameters": schema, **more}


def turn(*items: Item | Span, model: str = "claude-sonnet-4-5", **options: Any) -> Turn:
    spans = [i if isinstance(i, Span) else Span([i]) for i in items or [message("user", "Hi")]]
    return Turn(model=model, spans=spans, **options)


def encoded(*items: Item | Span, **options: Any) -> UpstreamRequest:
    return PLAIN.encode(turn(*items, **options))


def messages(*items: Item | Span, **options: Any) -> list[tuple[str, list[Any]]]:
    """Role and blocks; a text block is shown as its text."""
    return [
        (m["role"], [b["text"] if b["type"] == "text" else b for b in m["content"]])
        for m in encoded(*items, **options).body["messages"]
    ]


def tool_use(id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "look", "input": arguments}


def result(id: str, content: Any = "fine") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content}


def image(url: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url, **more}


def file(**more: Any) -> dict[str, Any]:
    return {"type": "input_file", **more}
