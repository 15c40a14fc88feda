"""The recorded generateContent answers, and short ways to read them with our adapter."""

from typing import Any

import pytest
from cases import Recording, one_stream_per_vendor_and_feature, recorded

from responses_mw.adapters.decoding import well_formed
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.gemini_encode import VERTEX_AI
from responses_mw.deltas import Delta
from responses_mw.sse import SSEParser
from responses_mw.testing import play_recording
from responses_mw.turn import Turn

ADAPTERS = {"gemini": Gemini(), "vertex_ai": Gemini(name="vertex_ai", surface=VERTEX_AI)}
TURN = Turn(model="gemini-2.5-flash", spans=())

EVERY = recorded("gemini", "vertex_ai")
COUNTS = {
    "vertex_ai/fx-unary-success-detailed-token-response",
    "vertex_ai/fx-unary-success-total-tokens",
}
"""Answers of countTokens."""
ONE_ARRAY = "gemini/llm-gemini-gemini-prompt-0"
"""A stream that is no event stream but one JSON array."""
ANSWERS = [r for r in EVERY if r.status == 200 and r.id not in COUNTS]
STREAMS = [r for r in ANSWERS if r.streamed]
REFUSALS = [r for r in EVERY if r.status >= 400]
EVERY_CUT = one_stream_per_vendor_and_feature(STREAMS)

each = pytest.mark.parametrize("recording", ANSWERS, ids=str)
each_stream = pytest.mark.parametrize("recording", STREAMS, ids=str)


def adapter_for(recording: Recording) -> Gemini:
    return ADAPTERS[recording.provider]


def body_of(recording: Recording) -> bytes:
    """Some files lack the blank line that ends the last event."""
    return recording.body + b"\r\n\r\n" if recording.streamed else recording.body


def play(recording: Recording, chunk: int | None = None) -> list[dict[str, Any]]:
    return play_recording(
        adapter_for(recording),
        body_of(recording),
        chunk=chunk,
        turn=TURN,
        whole=not recording.streamed,
    )


@well_formed("gemini")
def deltas_of(
    body: bytes, *, streamed: bool = False, turn: Turn = TURN, adapter: Gemini | None = None
) -> list[Delta]:
    adapter = adapter or ADAPTERS["gemini"]
    if not streamed:
        return list(adapter.decode(body, turn))
    decoder = adapter.decoder(turn)
    found = [delta for event in SSEParser().feed(body) for delta in decoder.feed(event)]
    return [*found, *decoder.close()]


def items(response: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in response["output"] if item["type"] == kind]


def text_parts(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for item in items(response, "message") for part in item["content"]]
