"""Short ways to write turns, and to see what the Gemini adapter makes of them."""

from typing import Any

from responses_mw.adapters.base import UpstreamRequest
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.gemini_encode import VERTEX_AI
from responses_mw.turn import Item, Span, Turn

GEMINI = Gemini()
VERTEX = Gemini(name="vertex_ai", surface=VERTEX_AI)
OLD = "gemini-2.5-flash"
NEW = "gemini-3-flash-preview"
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


def image(url: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url, **more}


def file(**more: Any) -> dict[str, Any]:
    return {"type": "input_file", **more}


def turn(*items: Item | Span, model: str = OLD, **options: Any) -> Turn:
    spans = [i if isinstance(i, Span) else Span([i]) for i in items or [message("user", "Hi")]]
    return Turn(model=model, spans=spans, **options)


def encoded(*items: Item | Span, on: Gemini = GEMINI, **options: Any) -> UpstreamRequest:
    return on.encode(turn(*items, **options))


def contents(*items: Item | Span, **options: Any) -> list[tuple[str, list[Any]]]:
    """Role and parts; a part of text alone is shown as its text."""
    return [
        (c["role"], [p["text"] if p.keys() == {"text"} else p for p in c["parts"]])
        for c in encoded(*items, **options).body["contents"]
    ]


def model_call(id: str | None = None, *, signature: str | None = None, **args: Any) -> Any:
    named = {"id": id} if id is not None else {}
    signed = {"thoughtSignature": signature} if signature is not None else {}
    return {"functionCall": {**named, "name": "look", "args": args}, **signed}


def result(id: str | None = None, response: Any = None, **more: Any) -> Any:
    named = {"id": id} if id is not None else {}
    response = {"result": "fine"} if response is None else response
    return {"functionResponse": {"name": "look", "response": response, **named, **more}}
