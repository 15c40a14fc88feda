"""One answer in each of five wire formats, in frames: six words, a call of `f`, an end.

What is said stands here; how it is broken, elsewhere.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from upstream import Exchange

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.openai_responses import OpenAIResponses

Json = dict[str, Any]

WORDS = [f"word{n} \u00e9\U0001f600 " for n in range(6)]
ARGUMENTS = '{"a":1}'
TOLD = 3
"""After so many frames the first word was said, and no end is near."""


@dataclass(frozen=True)
class Speech:
    """`whole` is the same answer unstreamed; `error` is how the format says one in a stream. Cut
    before its `closing` last frames, the stream has no end."""

    adapter: Callable[[], Adapter]
    frames: list[bytes]
    whole: bytes
    error: bytes
    closing: int
    content_type: str = "text/event-stream"

    @property
    def streamed(self) -> bytes:
        return b"".join(self.frames)

    @property
    def beginning(self) -> bytes:
        return b"".join(self.frames[: 1 + TOLD])

    async def begin(self, exchange: Exchange, **headers: str) -> None:
        """The head of a stream that ends with its connection."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        head = {"content-type": self.content_type, "connection": "close", **named}
        await exchange.head(200, head)


def is_streamed(exchange: Exchange) -> bool:
    return "stream" in exchange.path.lower() or bool(exchange.json.get("stream"))


def sse(event: Json) -> bytes:
    named = b"event: " + event["type"].encode() + b"\n" if "type" in event else b""
    return named + b"data: " + orjson.dumps(event) + b"\n\n"


# --- chat completions


def _chunk(delta: Json, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    named = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return sse({**named, "choices": [choice]})


def _chat() -> Speech:
    call = {"index": 0, "id": "call_1", "type": "function"}
    message = {"role": "assistant", "content": "".join(WORDS)}
    return Speech(
        ChatCompletions,
        [
            _chunk({"role": "assistant", "content": ""}),
            *(_chunk({"content": word}) for word in WORDS),
            _chunk({"tool_calls": [{**call, "function": {"name": "f", "arguments": ""}}]}),
            _chunk({"tool_calls": [{"index": 0, "function": {"arguments": ARGUMENTS}}]}),
            _chunk({}, "tool_calls"),
            b"data: [DONE]\n\n",
        ],
        orjson.dumps(
            {
                "id": "c1",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            }
        ),
        sse({"error": {"message": "out of order", "type": "server_error", "code": None}}),
        closing=2,
    )


# --- Anthropic


def _anthropic() -> Speech:
    usage = {"input_tokens": 3, "output_tokens": 2}
    message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude"}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    text, tool = {"type": "text", "text": ""}, {"type": "tool_use", "id": "t1", "name": "f"}
    arguments = {"type": "input_json_delta", "partial_json": ARGUMENTS}

    def block(kind: str, index: int, **more: Any) -> bytes:
        return sse({"type": f"content_block_{kind}", "index": index, **more})

    return Speech(
        AnthropicMessages,
        [
            sse({"type": "message_start", "message": message}),
            block("start", 0, content_block=text),
            *(block("delta", 0, delta={"type": "text_delta", "text": word}) for word in WORDS),
            block("stop", 0),
            block("start", 1, content_block={**tool, "input": {}}),
            block("delta", 1, delta=arguments),
            block("stop", 1),
            sse({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage}),
            sse({"type": "message_stop"}),
        ],
        orjson.dumps(
            {
                **message,
                "content": [{"type": "text", "text": "".join(WORDS)}],
                "stop_reason": "end_turn",
            }
        ),
        sse({"type": "error", "error": {"type": "api_error", "message": "out of order"}}),
        closing=2,
    )


# --- Gemini


def _gemini() -> Speech:
    def said(*parts: Json, **end: str) -> Json:
        candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **end}
        usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
        named = {"usageMetadata": usage, "modelVersion": "g", "responseId": "r"}
        return {"candidates": [candidate], **named}

    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    return Speech(
        Gemini,
        [
            *(sse(said({"text": word})) for word in WORDS),
            sse(said(call)),
            sse(said({"text": ""}, finishReason="STOP")),
        ],
        orjson.dumps(said({"text": "".join(WORDS)}, finishReason="STOP")),
        sse({"error": {"code": 500, "message": "out of order", "status": "INTERNAL"}}),
        closing=1,
    )


# --- Bedrock


def _framed(payload: Json, **headers: str) -> bytes:
    """AWS's binary frame: lengths, a checksum, headers, the payload, a checksum."""
    data, head = orjson.dumps(payload), b""
    for name, value in headers.items():
        named = b":" + name.replace("_", "-").encode()
        head += bytes([len(named)]) + named + b"\x07" + struct.pack(">H", len(value))
        head += value.encode()
    lengths = struct.pack(">II", 16 + len(head) + len(data), len(head))
    body = lengths + struct.pack(">I", zlib.crc32(lengths)) + head + data
    return body + struct.pack(">I", zlib.crc32(body))


def _event(kind: str, **payload: Any) -> bytes:
    return _framed(payload, message_type="event", event_type=kind, content_type="application/json")


def _bedrock() -> Speech:
    def delta(index: int, **said: Any) -> bytes:
        return _event("contentBlockDelta", contentBlockIndex=index, delta=said)

    usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    start = {"toolUse": {"toolUseId": "t1", "name": "f"}}
    message = {"role": "assistant", "content": [{"text": "".join(WORDS)}]}
    failed = {"message_type": "exception", "exception_type": "internalServerException"}
    return Speech(
        BedrockConverse,
        [
            _event("messageStart", role="assistant"),
            *(delta(0, text=word) for word in WORDS),
            _event("contentBlockStop", contentBlockIndex=0),
            _event("contentBlockStart", contentBlockIndex=1, start=start),
            delta(1, toolUse={"input": ARGUMENTS}),
            _event("contentBlockStop", contentBlockIndex=1),
            _event("messageStop", stopReason="tool_use"),
            _event("metadata", usage=usage, metrics={"latencyMs": 1}),
        ],
        orjson.dumps({"output": {"message": message}, "stopReason": "end_turn", "usage": usage}),
        _framed({"message": "out of order"}, **failed),
        closing=2,
        content_type="application/vnd.amazon.eventstream",
    )


# --- Responses


def _responses() -> Speech:
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    spoken = {**part, "text": "".join(WORDS)}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    call = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1"}
    call |= {"name": "f", "arguments": ARGUMENTS}
    ended = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "error": None}
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    said = [{**message, "content": [spoken]}, call]
    completed = {**ended, "status": "completed", "output": said, "usage": usage}
    in_text = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    in_call = {"item_id": "fc_1", "output_index": 1}
    begun = {**ended, "status": "in_progress", "output": []}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "item": {**message, "content": []}},
        {"type": "response.content_part.added", **in_text, "part": part},
        *({"type": "response.output_text.delta", **in_text, "delta": word} for word in WORDS),
        {"type": "response.output_text.done", **in_text, "text": spoken["text"]},
        {"type": "response.content_part.done", **in_text, "part": spoken},
        {"type": "response.output_item.done", "output_index": 0, "item": said[0]},
        {"type": "response.output_item.added", **in_call, "item": {**call, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", **in_call, "delta": ARGUMENTS},
        {"type": "response.function_call_arguments.done", **in_call, "arguments": ARGUMENTS},
        {"type": "response.output_item.done", **in_call, "item": call},
        {"type": "response.completed", "response": completed},
    ]
    numbered = (
        {"output_index": 0, **event, "sequence_number": n} for n, event in enumerate(events)
    )
    error = {"type": "error", "code": "server_error", "message": "out of order", "param": None}
    return Speech(
        OpenAIResponses,
        [sse(event) for event in numbered],
        orjson.dumps({**completed, "output": said[:1]}),
        sse({**error, "sequence_number": 9}),
        closing=1,
    )


SPEECHES = {
    "chat": _chat(),
    "anthropic": _anthropic(),
    "gemini": _gemini(),
    "bedrock": _bedrock(),
    "responses": _responses(),
}
