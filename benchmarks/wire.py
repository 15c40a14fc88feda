"""What goes over the wire in a benchmark: texts, requests, answers, and their checks.

The upstream reports as an answer's input tokens how many texts it was sent, each whole. So every
single answer proves that its history arrived.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import orjson

Format = Literal["chat", "anthropic"]

PATHS: dict[Format, str] = {"chat": "/chat/completions", "anthropic": "/v1/messages"}
INPUT = "Tell me more. " * 14 + "Now."
"""What a user says in each turn: 200 characters."""


@cache
def words(deltas: int) -> list[str]:
    """What the model says: five characters or more a delta, each different."""
    return [f" w{number:03d}" for number in range(deltas)]


@cache
def text(deltas: int) -> str:
    return "".join(words(deltas))


# --- requests


def responses_request(model: str, *, stream: bool, store: bool) -> dict[str, Any]:
    return {"model": model, "input": INPUT, "stream": stream, "store": store}


def upstream_request(upstream: Format, *, stream: bool) -> dict[str, Any]:
    """One turn, as a client of the upstream itself would send it."""
    message = {"role": "user", "content": INPUT}
    body: dict[str, Any] = {"model": "m", "messages": [message], "stream": stream}
    if upstream == "anthropic":
        body["max_tokens"] = 1000
    elif stream:
        body["stream_options"] = {"include_usage": True}
    return body


# --- the upstream's answers


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


_TEXTS = 123456789
_MARK = b"%d" % _TEXTS


def count_texts(request: bytes, deltas: int) -> int:
    """How many of a chain's texts, the user's and the model's, stand in a request."""
    return request.count(INPUT.encode()) + request.count(text(deltas).encode())


@cache
def answer(upstream: Format, *, deltas: int, stream: bool) -> Answer:
    if not stream:
        whole = _chat_whole(deltas) if upstream == "chat" else _anthropic_whole(deltas)
        body = orjson.dumps(whole)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        return Answer(head % len(body), (body,), 0)
    events = _chat_events(deltas) if upstream == "chat" else _anthropic_events(deltas)
    counting = next(n for n, event in enumerate(events) if _MARK in event)
    pieces = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    pieces[-1] += b"0\r\n\r\n"
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return Answer(head, tuple(pieces), counting)


def _chat_usage() -> dict[str, Any]:
    return {
        "prompt_tokens": _TEXTS,
        "completion_tokens": 64,
        "total_tokens": 64,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _chat_whole(deltas: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": text(deltas), "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _chat_usage(),
    }


def _chat_events(deltas: int) -> list[bytes]:
    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: %b\n\n" % orjson.dumps({**common, "choices": [choice]})

    common: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "m",
    }
    usage = {**common, "choices": [], "usage": _chat_usage()}
    return [
        event({"role": "assistant", "content": ""}),
        *(event({"content": word}) for word in words(deltas)),
        event({}, "stop"),
        b"data: %b\n\n" % orjson.dumps(usage),
        b"data: [DONE]\n\n",
    ]


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


def _anthropic_whole(deltas: int) -> dict[str, Any]:
    return _anthropic_message([{"type": "text", "text": text(deltas)}], "end_turn")


def _anthropic_events(deltas: int) -> list[bytes]:
    def event(type: str, **fields: Any) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (type.encode(), orjson.dumps({"type": type, **fields}))

    def delta(word: str) -> bytes:
        return event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})

    return [
        event("message_start", message=_anthropic_message([], None)),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *map(delta, words(deltas)),
        event("content_block_stop", index=0),
        event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": 64},
        ),
        event("message_stop"),
    ]


# --- checks


class BrokenRun(Exception):
    """An answer was not what it must be: what was measured means nothing."""


Check = Callable[[bytes, int], int]
"""Of a whole answer's body and its number of deltas: how many texts had reached the upstream.
Raises BrokenRun."""


def check_response(body: bytes, deltas: int) -> int:
    """A whole answer of the server under test."""
    _demand(b'"status":"completed"' in body, "not completed", body)
    _demand(text(deltas).encode() in body, "not the whole text", body)
    return _texts(body, rb'"input_tokens":(\d+)')


def check_response_stream(body: bytes, deltas: int) -> int:
    _demand_deltas(body, b"event: response.output_text.delta\n", deltas)
    _demand(body.endswith(b"\n\ndata: [DONE]\n\n"), "no [DONE]", body)
    start = body.rfind(b"event: response.completed\n")
    _demand(start > 0, "no response.completed", body)
    return check_response(body[start:], deltas)


def check_chat(body: bytes, deltas: int) -> int:
    _demand(text(deltas).encode() in body, "not the whole text", body)
    return _texts(body, rb'"prompt_tokens": *(\d+)')


def check_chat_stream(body: bytes, deltas: int) -> int:
    _demand_deltas(body, b'"content":" w', deltas)
    _demand(body.endswith(b"data: [DONE]\n\n"), "no [DONE]", body)
    return _texts(body, rb'"prompt_tokens": *(\d+)')


def check_anthropic(body: bytes, deltas: int) -> int:
    _demand(text(deltas).encode() in body, "not the whole text", body)
    return _texts(body, rb'"input_tokens": *(\d+)')


def check_anthropic_stream(body: bytes, deltas: int) -> int:
    _demand_deltas(body, b'"text":" w', deltas)
    _demand(b"event: message_stop\n" in body, "no message_stop", body)
    return _texts(body, rb'"input_tokens": *(\d+)')


CHECKS: dict[str, Check] = {
    "response": check_response,
    "response stream": check_response_stream,
    "chat": check_chat,
    "chat stream": check_chat_stream,
    "anthropic": check_anthropic,
    "anthropic stream": check_anthropic_stream,
}


def _texts(body: bytes, pattern: bytes) -> int:
    found = re.search(pattern, body)
    _demand(found is not None, "no usage", body)
    assert found is not None
    return int(found[1])


def _demand_deltas(body: bytes, mark: bytes, deltas: int) -> None:
    said = body.count(mark)
    _demand(said == deltas, f"{said} deltas instead of {deltas}", body)


def _demand(holds: bool, what: str, body: bytes) -> None:
    if not holds:
        raise BrokenRun(f"{what}: {body[-2000:].decode('utf-8', 'replace')}")
