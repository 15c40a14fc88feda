"""Short ways to write turns, and to see what the Converse adapter makes of them."""

from typing import Any

from messages_turns import call, file, function, image, message, output

from responses_mw.adapters.base import UpstreamRequest
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.turn import Item, Span, Turn

__all__ = ["call", "file", "function", "image", "message", "output"]

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-pro-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
PLAIN = BedrockConverse(cache=None)
SCOPE = "bedrock:claude-sonnet-4-5"
PNG = "iVBORw0KGgo="


def turn(*items: Item | Span, model: str = CLAUDE, **options: Any) -> Turn:
    spans = [i if isinstance(i, Span) else Span([i]) for i in items or [message("user", "Hi")]]
    return Turn(model=model, spans=spans, **options)


def encoded(*items: Item | Span, **options: Any) -> UpstreamRequest:
    return PLAIN.encode(turn(*items, **options))


def body(*items: Item | Span, **options: Any) -> dict[str, Any]:
    return encoded(*items, **options).body


def messages(*items: Item | Span, **options: Any) -> list[tuple[str, list[Any]]]:
    """Role and blocks; a text block is shown as its text."""
    return [
        (m["role"], [b.get("text", b) for b in m["content"]])
        for m in body(*items, **options)["messages"]
    ]


def use(id: str, name: str = "look", **arguments: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": id, "name": name, "input": arguments}}


def result(id: str, *content: Any) -> dict[str, Any]:
    blocks = [{"text": c} if isinstance(c, str) else c for c in content or ("fine",)]
    return {"toolResult": {"toolUseId": id, "content": blocks}}


def picture(data: str = PNG, format: str = "png") -> dict[str, Any]:
    return {"image": {"format": format, "source": {"bytes": data}}}


def document(name: str, data: str, format: str = "pdf") -> dict[str, Any]:
    return {"document": {"name": name, "format": format, "source": {"bytes": data}}}
