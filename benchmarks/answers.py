"""What the upstream answers in each wire format, made before it is asked for.

A format is two functions, one for whole answers and one for streams.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from benchmarks.wire import Format, Shape, text, words

_TEXTS = 123456789
_MARK = b"%d" % _TEXTS
_CREATED = 1760000000


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes ready to be sent, piece by piece; `counting` is the one that says what arrived."""

    head: bytes
    pieces: tuple[bytes, ...]
    counting: int

    def counted(self, texts: int) -> list[bytes]:
        pieces = list(self.pieces)
        # Spaces keep the length, which stands before the piece.
        pieces[self.counting] = pieces[self.counting].replace(_MARK, b"%9d" % texts)
        return pieces


@cache
def answer(upstream: Format, shape: Shape, *, stream: bool) -> Answer:
    if not stream:
        body = orjson.dumps(_WHOLE[upstream](shape))
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        return Answer(head % len(body), (body,), 0)
    events = _EVENTS[upstream](shape)
    counting = next(n for n, event in enumerate(events) if _MARK in event)
    pieces = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    pieces[-1] += b"0\r\n\r\n"
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return Answer(head, tuple(pieces), counting)


def _data(event: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(event)


def _named(type: str, **fields: Any) -> bytes:
    return b"event: %b\n%b" % (type.encode(), _data({"type": type, **fields}))


# --- chat completions


def _chat_usage() -> dict[str, Any]:
    return {
        "prompt_tokens": _TEXTS,
        "completion_tokens": 64,
        "total_tokens": 64,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _chat_whole(shape: Shape) -> dict[str, Any]:
    message = {"role": "assistant", "content": text(shape), "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": _CREATED,
        "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _chat_usage(),
    }


def _chat_events(shape: Shape) -> list[bytes]:
    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**common, "choices": [choice]})

    common: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": "m",
    }
    return [
        event({"role": "assistant", "content": ""}),
        *(event({"content": word}) for word in words(shape)),
        event({}, "stop"),
        _data({**common, "choices": [], "usage": _chat_usage()}),
        b"data: [DONE]\n\n",
    ]


# --- Anthropic's Messages


def _anthropic_message(content: list[Any], stop_reason: str | None) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": _TEXTS,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "output_tokens": 64,
        },
    }


def _anthropic_whole(shape: Shape) -> dict[str, Any]:
    return _anthropic_message([{"type": "text", "text": text(shape)}], "end_turn")


def _anthropic_events(shape: Shape) -> list[bytes]:
    def delta(word: str) -> bytes:
        part = {"type": "text_delta", "text": word}
        return _named("content_block_delta", index=0, delta=part)

    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        _named("message_start", message=_anthropic_message([], None)),
        _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *map(delta, words(shape)),
        _named("content_block_stop", index=0),
        _named("message_delta", delta=ended, usage={"output_tokens": 64}),
        _named("message_stop"),
    ]


# --- Gemini's generateContent


def _gemini_chunk(said: str, *, texts: int, finish: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": said}]}}
    if finish is not None:
        candidate["finishReason"] = finish
    return {
        "candidates": [{**candidate, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": texts,
            "candidatesTokenCount": 64,
            "totalTokenCount": 64,
        },
        "modelVersion": "m",
        "responseId": "r1",
    }


def _gemini_whole(shape: Shape) -> dict[str, Any]:
    return _gemini_chunk(text(shape), texts=_TEXTS, finish="STOP")


def _gemini_events(shape: Shape) -> list[bytes]:
    """Each says what was used so far; what arrived stands in the last."""
    chunks = [_gemini_chunk(word, texts=1) for word in words(shape)]
    chunks.append(_gemini_chunk("", texts=_TEXTS, finish="STOP"))
    return [b"data: %b\r\n\r\n" % orjson.dumps(chunk) for chunk in chunks]


# --- Responses


def _responses_message(parts: list[Any], status: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "status": status,
        "role": "assistant",
        "content": parts,
    }


def _responses_part(said: str) -> dict[str, Any]:
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": []}


def _responses_object(output: list[Any], status: str) -> dict[str, Any]:
    usage = {
        "input_tokens": _TEXTS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 64,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 64,
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": "m",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "store": False,
        "usage": usage if status == "completed" else None,
    }


def _responses_whole(shape: Shape) -> dict[str, Any]:
    message = _responses_message([_responses_part(text(shape))], "completed")
    return _responses_object([message], "completed")


def _responses_events(shape: Shape) -> list[bytes]:
    def event(type: str, **fields: Any) -> bytes:
        events.append(type)
        return _named(f"response.{type}", sequence_number=len(events) - 1, **fields)

    events: list[str] = []
    item = {"item_id": "msg_1", "output_index": 0}
    part = {**item, "content_index": 0}
    whole = _responses_part(text(shape))
    started = _responses_object([], "in_progress")
    return [
        event("created", response=started),
        event("in_progress", response=started),
        event("output_item.added", output_index=0, item=_responses_message([], "in_progress")),
        event("content_part.added", **part, part=_responses_part("")),
        *(event("output_text.delta", **part, delta=word, logprobs=[]) for word in words(shape)),
        event("output_text.done", **part, text=text(shape), logprobs=[]),
        event("content_part.done", **part, part=whole),
        event("output_item.done", output_index=0, item=_responses_message([whole], "completed")),
        event("completed", response=_responses_whole(shape)),
    ]


_WHOLE: Mapping[Format, Callable[[Shape], dict[str, Any]]] = {
    "chat": _chat_whole,
    "anthropic": _anthropic_whole,
    "gemini": _gemini_whole,
    "responses": _responses_whole,
}
_EVENTS: Mapping[Format, Callable[[Shape], list[bytes]]] = {
    "chat": _chat_events,
    "anthropic": _anthropic_events,
    "gemini": _gemini_events,
    "responses": _responses_events,
}
