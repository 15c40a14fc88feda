"""A toy model behind two wire formats, chat completions and Messages: a server for real clients.

What it says depends on what it was sent alone. It calls the tools that the last message of the user
names, makes what a schema accepts, thinks where it is asked to, and refuses the word `refuse`.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from responses_mw.testing.instances import instance_of

Event = dict[str, Any]
PACE_S = 0.02
"""Between the words of an answer that was asked to be slow."""


@dataclass
class Asked:
    """A request of either format, as far as the answer depends on it."""

    users: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    """Of tools, since the last message of the user."""
    tools: dict[str, Any] = field(default_factory=dict)
    """The schemas of the parameters, by name."""
    schema: Any = None
    thinks: bool = False
    limit: int | None = None
    choice: Any = None
    """Of tools, as either format says it; a forced one is called as if it had been named."""

    @property
    def slow(self) -> bool:
        return "slowly" in self.users[-1]


@dataclass
class Said:
    thought: str
    text: str
    calls: list[tuple[str, str]]
    """Names and arguments."""
    cut: bool = False
    """By the limit of tokens, each word being one."""

    @property
    def words(self) -> list[str]:
        return [word + " " for word in self.text.split(" ")[:-1]] + self.text.split(" ")[-1:]


def answer(asked: Asked) -> Said:
    thought = "Let me think." if asked.thinks else ""
    calls = [(name, json.dumps(instance_of(asked.tools[name]))) for name in called(asked)]
    if calls:
        return Said(thought, "", calls)
    words = text_for(asked).split(" ")
    said = words[: asked.limit]
    return Said(thought, " ".join(said), [], len(said) < len(words))


def text_for(asked: Asked) -> str:
    if asked.schema is not None:
        return json.dumps(instance_of(asked.schema))
    if asked.outputs:
        return "The tools said: " + "; ".join(asked.outputs)
    if asked.slow:
        return " ".join(str(number) for number in range(500))
    return "You said: " + " | ".join(asked.users)


def called(asked: Asked) -> list[str]:
    kind = asked.choice["type"] if isinstance(asked.choice, dict) else asked.choice
    match kind:
        case "none":
            return []
        case "required" | "any":
            return list(asked.tools)[:1]
        case "function" | "tool":
            return [asked.choice.get("function", asked.choice)["name"]]
        case _ if asked.outputs:
            return []
        case _:
            return [name for name in asked.tools if name in asked.users[-1]]


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", f"[{part['type']}]") for part in content or [])


# --- chat completions


def chat_asked(body: Event) -> Asked:
    asked = Asked(choice=body.get("tool_choice"))
    asked.thinks = body.get("reasoning_effort", "none") != "none"
    asked.limit = body.get("max_completion_tokens") or body.get("max_tokens")
    for message in body["messages"]:
        if message["role"] == "user":
            asked.users.append(text_of(message["content"]))
            asked.outputs = []
        elif message["role"] == "tool":
            asked.outputs.append(text_of(message["content"]))
    for tool in body.get("tools") or []:
        asked.tools[tool["function"]["name"]] = tool["function"].get("parameters") or {}
    if body.get("response_format", {}).get("type") == "json_schema":
        asked.schema = body["response_format"]["json_schema"]["schema"]
    return asked


CHAT_USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def chat_finish(said: Said) -> str:
    return "tool_calls" if said.calls else "length" if said.cut else "stop"


def chat_whole(said: Said) -> Event:
    calls = [
        {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": made}}
        for at, (name, made) in enumerate(said.calls)
    ]
    message: Event = {"role": "assistant", "content": said.text or None}
    if calls:
        message["tool_calls"] = calls
    if said.thought:
        message["reasoning_content"] = said.thought
    choice = {"index": 0, "message": message, "finish_reason": chat_finish(said)}
    named = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "toy"}
    return {**named, "choices": [choice], "usage": CHAT_USAGE}


def chat_streamed(said: Said) -> Iterator[Event]:
    named = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "toy"}

    def chunk(finish: str | None = None, **delta: Any) -> Event:
        return {**named, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk(role="assistant", content="")
    if said.thought:
        yield chunk(reasoning_content=said.thought)
    for word in said.words:
        if word:
            yield chunk(content=word)
    for at, (name, made) in enumerate(said.calls):
        function = {"name": name, "arguments": ""}
        started = {"index": at, "id": f"call_{at}", "type": "function", "function": function}
        yield chunk(tool_calls=[started])
        for piece in (made[:5], made[5:]):
            yield chunk(tool_calls=[{"index": at, "function": {"arguments": piece}}])
    yield chunk(chat_finish(said))
    yield {**named, "choices": [], "usage": CHAT_USAGE}


# --- Messages


def messages_asked(body: Event) -> Asked:
    asked = Asked(choice=body.get("tool_choice"))
    asked.thinks = body.get("thinking", {}).get("type", "disabled") != "disabled"
    asked.limit = body["max_tokens"]
    for message in body["messages"]:
        if message["role"] == "user":
            _read_user(message["content"], asked)
        else:
            _check_thoughts(message["content"])
    for tool in body.get("tools") or []:
        asked.tools[tool["name"]] = tool["input_schema"]
    asked.schema = (body.get("output_config", {}).get("format") or {}).get("schema")
    return asked


def _read_user(content: Any, asked: Asked) -> None:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    outputs = [part for part in parts if part["type"] == "tool_result"]
    if not outputs:
        asked.users.append(text_of(parts))
        asked.outputs = []
    asked.outputs += [text_of(part["content"]) for part in outputs]


def _check_thoughts(content: Any) -> None:
    for part in [] if isinstance(content, str) else content:
        if part["type"] == "thinking" and part["signature"] != "signed: " + part["thinking"]:
            raise ValueError("a thought came back altered")


MESSAGES_USAGE = {"input_tokens": 11, "output_tokens": 7}


def blocks(said: Said) -> list[Event]:
    made: list[Event] = []
    if said.thought:
        signature = "signed: " + said.thought
        made.append({"type": "thinking", "thinking": said.thought, "signature": signature})
    if said.text:
        made.append({"type": "text", "text": said.text})
    for at, (name, arguments) in enumerate(said.calls):
        call = {"id": f"toolu_{at}", "name": name, "input": json.loads(arguments)}
        made.append({"type": "tool_use", **call})
    return made


def messages_whole(said: Said) -> Event:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "toy",
        "content": blocks(said),
        "stop_reason": "tool_use" if said.calls else "max_tokens" if said.cut else "end_turn",
        "stop_sequence": None,
        "usage": MESSAGES_USAGE,
    }


def messages_streamed(said: Said) -> Iterator[Event]:
    whole = messages_whole(said)
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
    for at, block in enumerate(blocks(said)):
        start, deltas = _block_streamed(block, said)
        yield {"type": "content_block_start", "index": at, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": at, "delta": delta}
        yield {"type": "content_block_stop", "index": at}
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": MESSAGES_USAGE}
    yield {"type": "message_stop"}


def _block_streamed(block: Event, said: Said) -> tuple[Event, list[Event]]:
    match block["type"]:
        case "text":
            deltas = [{"type": "text_delta", "text": word} for word in said.words]
            return {**block, "text": ""}, deltas
        case "thinking":
            thought = {"type": "thinking_delta", "thinking": block["thinking"]}
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [thought, signed]
        case _:
            made = json.dumps(block["input"])
            pieces = [made[:5], made[5:]]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            return {**block, "input": {}}, deltas


# --- the server


async def chat(request: Request) -> Response:
    body = await request.json()
    asked = chat_asked(body)
    if "refuse" in asked.users[-1]:
        error = {"message": "You asked too often.", "type": "rate_limit_error", "code": "too_often"}
        return JSONResponse({"error": error}, 429)
    if not body.get("stream"):
        return JSONResponse(chat_whole(answer(asked)))
    frames = (f"data: {json.dumps(event)}\n\n" for event in chat_streamed(answer(asked)))
    return _streamed(asked, [*frames, "data: [DONE]\n\n"])


async def messages(request: Request) -> Response:
    body = await request.json()
    asked = messages_asked(body)
    if "refuse" in asked.users[-1]:
        error = {"type": "rate_limit_error", "message": "You asked too often."}
        return JSONResponse({"type": "error", "error": error}, 429)
    if not body.get("stream"):
        return JSONResponse(messages_whole(answer(asked)))
    events = messages_streamed(answer(asked))
    return _streamed(
        asked, [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    )


def _streamed(asked: Asked, frames: list[str]) -> Response:
    async def paced() -> AsyncIterator[str]:
        for frame in frames:
            yield frame
            await asyncio.sleep(PACE_S if asked.slow else 0)

    return StreamingResponse(paced(), media_type="text/event-stream")


app = Starlette(
    routes=[
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/messages", messages, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
