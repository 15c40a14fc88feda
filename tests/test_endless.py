"""Answers that do not end: they are stopped when enough was said, whatever they consist of."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from responses_mw.adapters import reading
from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.app import ResponsesApp
from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import (
    AnnotationAdded,
    Canonical,
    Delta,
    ItemFinished,
    MessageStarted,
    OutputItem,
    PartFinished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    TextRun,
    ToolCallDelta,
    ToolCallStarted,
)
from responses_mw.errors import UpstreamProtocolError
from responses_mw.settings import Settings
from responses_mw.testing import check_event_order
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.testing.play import created
from responses_mw.turn import Turn
from stores import MemoryStore

LIMIT = 100_000
LONG = "x" * 1000


class Endless:
    def __init__(self) -> None:
        self.closed = False

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        try:
            while True:
                yield TextDelta("on and on, ")
                await asyncio.sleep(0)
        finally:
            self.closed = True


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_does_not_end_fails_with_what_it_said(stream: bool) -> None:
    provider, store = Endless(), MemoryStore()
    settings = Settings(max_output_bytes=LIMIT)
    app = ResponsesApp(store=store, models={"m": provider}, settings=settings)
    transport = InProcessTransport(app)
    async with app.lifespan(), httpx2.AsyncClient(transport=transport) as http:
        body = {"model": "m", "input": "hi", "stream": stream}
        answer = await http.post("http://test/responses", json=body, timeout=20)
        response = told(answer.text) if stream else answer.json()
        kept = (await http.get(f"http://test/responses/{response['id']}")).json()

    assert response["status"] == "failed"
    assert response["error"]["code"] == "output_too_large"
    assert str(LIMIT) in response["error"]["message"]
    said = response["output"][0]["content"][0]["text"]
    assert LIMIT / 10 < len(said) < LIMIT
    assert kept == response
    assert provider.closed


def told(text: str) -> Any:
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    check_event_order(events)
    return events[-1]["response"]


CALL = {"type": "custom_tool_call", "name": "f", "call_id": "c", "input": LONG}
KINDS: dict[str, Any] = {
    "words": lambda n: [TextDelta("x")],
    "runs": lambda n: [TextRun(["x", "y"])],
    "text": lambda n: [TextDelta(LONG)],
    "logprobs": lambda n: [TextDelta("x", [{"token": LONG, "logprob": 0.0}])],
    "refusal": lambda n: [RefusalDelta("x")],
    "reasoning": lambda n: [ReasoningDelta("x")],
    "parts": lambda n: [ReasoningDelta("x"), PartFinished()],
    "messages": lambda n: [MessageStarted()],
    "calls": lambda n: [ToolCallStarted(n, LONG, None, {"more": [LONG]})],
    "arguments": lambda n: [*([] if n else [ToolCallStarted(0, "f")]), ToolCallDelta(0, "x")],
    "annotations": lambda n: [AnnotationAdded({"type": "url_citation", "title": LONG})],
    "items": lambda n: [OutputItem({**CALL, "call_id": f"c{n}"})],
    "ends": lambda n: [*([] if n else [TextDelta("x")]), ItemFinished()],
    "passed": lambda n: [Canonical({"type": "response.x.delta", "delta": LONG, "more": [LONG]})],
}


def go_on(assembler: ResponseAssembler, kind: str) -> None:
    for number in range(LIMIT // 60):
        assembler.tell(KINDS[kind](number))


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_an_answer_consists_of_it_is_bounded(kind: str) -> None:
    assembler = ResponseAssembler(created(), max_bytes=LIMIT)
    assembler.start()

    with pytest.raises(UpstreamProtocolError, match=f"max_output_bytes .{LIMIT}."):
        go_on(assembler, kind)

    assert len(json.dumps([assembler.output, assembler.cuts])) < 12 * LIMIT


def test_a_stream_that_says_nothing_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures are held back until their block ends."""
    monkeypatch.setattr(reading, "MOST_BYTES", LIMIT)
    decoder = AnthropicMessages().decoder(Turn(model="m", spans=()))
    stream = reading.Reading(decoder, "sse", name="anthropic")
    said: list[Delta] = []
    stream.feed(sse({"type": "message_start", "message": {}}), said)
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    begin = {"type": "content_block_start", "index": 0, "content_block": thinking}
    stream.feed(sse(begin), said)
    told = len(said)
    signed = {"type": "signature_delta", "signature": LONG}
    chunk = sse({"type": "content_block_delta", "index": 0, "delta": signed})

    with pytest.raises(UpstreamProtocolError, match=f"more than {LIMIT} bytes"):
        feed(stream, chunk, said)
    assert len(said) == told


def sse(event: Any) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def feed(stream: reading.Reading, chunk: bytes, said: list[Delta]) -> None:
    for _ in range(LIMIT // 1000):
        stream.feed(chunk, said)


def test_a_long_answer_that_ends_is_told_to_its_end() -> None:
    assembler = ResponseAssembler(created(), max_bytes=LIMIT)
    assembler.start()
    assembler.tell([TextDelta("x" * LIMIT)])

    assert assembler.finish()[-1]["type"] == "response.completed"
