"""What goes over the wire in a benchmark: texts, requests, and the checks of answers.

The upstream reports as an answer's input tokens how many texts it was sent, each whole. So every
single answer proves that its history arrived.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

Format = Literal["chat", "anthropic", "gemini", "responses"]

_SENTENCE = "Tell me more. " * 14 + "Now."


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a turn: in `deltas` pieces, `gap_ms` apart (0: as fast as they go, each in a packet of its
    own). `swell` makes its texts that many times as long: 1 are 0.5 KB, 40 are 20 KB.
    """

    deltas: int = 64
    gap_ms: float = 0
    swell: int = 1

    @property
    def prefix(self) -> str:
        """Of the upstream's paths: see upstream.py."""
        return f"/{self.deltas}/{self.gap_ms:g}/{self.swell}"

    @classmethod
    def of(cls, deltas: str, gap_ms: str, swell: str) -> "Shape":
        return cls(int(deltas), float(gap_ms), int(swell))


@cache
def question(shape: Shape) -> str:
    """What a user says in each turn: 200 characters, swollen."""
    return _SENTENCE * shape.swell


@cache
def words(shape: Shape) -> list[str]:
    """What the model says: each different, five characters or more, swollen."""
    return [f" w{number:03d}".ljust(5 * shape.swell, "x") for number in range(shape.deltas)]


@cache
def text(shape: Shape) -> str:
    return "".join(words(shape))


def count_texts(request: bytes, shape: Shape) -> int:
    """How many of a chain's texts, the user's and the model's, stand in a request."""
    return request.count(question(shape).encode()) + request.count(text(shape).encode())


# --- requests


def responses_request(model: str, shape: Shape, *, stream: bool, store: bool) -> dict[str, Any]:
    return {"model": model, "input": question(shape), "stream": stream, "store": store}


def upstream_path(upstream: Format, *, stream: bool) -> str:
    match upstream:
        case "chat":
            return "/chat/completions"
        case "anthropic":
            return "/v1/messages"
        case "responses":
            return "/responses"
        case "gemini":
            return "/models/m:" + ("streamGenerateContent" if stream else "generateContent")


def upstream_request(upstream: Format, shape: Shape, *, stream: bool) -> dict[str, Any]:
    """One turn, as a client of the upstream itself would send it."""
    asked = question(shape)
    message = {"role": "user", "content": asked}
    match upstream:
        case "chat":
            body: dict[str, Any] = {"model": "m", "messages": [message], "stream": stream}
            return {**body, "stream_options": {"include_usage": True}} if stream else body
        case "anthropic":
            return {"model": "m", "messages": [message], "stream": stream, "max_tokens": 1000}
        case "responses":
            return {"model": "m", "input": [message], "stream": stream, "store": False}
        case "gemini":
            return {"contents": [{"role": "user", "parts": [{"text": asked}]}]}


# --- checks


class BrokenRun(Exception):
    """An answer was not what it must be: what was measured means nothing."""


Check = Callable[[bytes, Shape], int]
"""Of a whole answer's body, given the shape that was asked for: how many texts had reached the
upstream. Raises BrokenRun."""


def check_response(body: bytes, shape: Shape) -> int:
    """A whole answer of the server under test, or the last event of a streamed one."""
    _demand(b'"status":"completed"' in body, "not completed", body)
    _demand(text(shape).encode() in body, "not the whole text", body)
    return _texts(body, _INPUT)


def check_response_stream(body: bytes, shape: Shape) -> int:
    _demand(body.endswith(b"data: [DONE]\n\n"), "no [DONE]", body)
    return check_events(body, shape)


def check_events(body: bytes, shape: Shape) -> int:
    """The events of one response, as an upstream sends them or on a WebSocket: without [DONE]."""
    _demand_deltas(body, b'{"type":"response.output_text.delta"', shape)
    start = body.rfind(b'{"type":"response.completed"')
    _demand(start > 0, "no response.completed", body)
    return check_response(body[start:], shape)


def _whole(pattern: bytes) -> Check:
    def check(body: bytes, shape: Shape) -> int:
        _demand(text(shape).encode() in body, "not the whole text", body)
        return _texts(body, pattern)

    return check


def _streamed(pattern: bytes, *, delta: bytes, end: bytes) -> Check:
    def check(body: bytes, shape: Shape) -> int:
        _demand_deltas(body, delta, shape)
        _demand(end in body, f"no {end!r}", body)
        return _texts(body, pattern)

    return check


_PROMPT = rb'"prompt_tokens": *(\d+)'
_INPUT = rb'"input_tokens": *(\d+)'
_COUNT = rb'.*"promptTokenCount": *(\d+)'

CHECKS: dict[str, Check] = {
    "response": check_response,
    "response stream": check_response_stream,
    "socket": check_events,
    "chat": _whole(_PROMPT),
    "chat stream": _streamed(_PROMPT, delta=b'"content":" w', end=b"data: [DONE]\n\n"),
    "anthropic": _whole(_INPUT),
    "anthropic stream": _streamed(_INPUT, delta=b'"text":" w', end=b"event: message_stop\n"),
    "gemini": _whole(_COUNT),
    "gemini stream": _streamed(_COUNT, delta=b'"text":" w', end=b'"finishReason"'),
    "responses": check_response,
    "responses stream": check_events,
}
FIRST: dict[str, str] = {
    "response": '"text":" w',
    "response stream": '"delta":" w',
    "socket": '"delta":" w',
    "chat": '"content":" w',
    "anthropic": '"text":" w',
    "gemini": '"text":" w',
    "responses": '"text":" w',
    "chat stream": '"content":" w',
    "anthropic stream": '"text":" w',
    "gemini stream": '"text":" w',
    "responses stream": '"delta":" w',
}
"""By the name of the check: what the first delta is known by."""


def _texts(body: bytes, pattern: bytes) -> int:
    found = re.search(pattern, body, re.DOTALL)
    _demand(found is not None, "no usage", body)
    assert found is not None
    return int(found[1])


def _demand_deltas(body: bytes, mark: bytes, shape: Shape) -> None:
    said = body.count(mark)
    _demand(said == shape.deltas, f"{said} deltas instead of {shape.deltas}", body)


def _demand(holds: bool, what: str, body: bytes) -> None:
    if not holds:
        raise BrokenRun(f"{what}: {body[-2000:].decode('utf-8', 'replace')}")
