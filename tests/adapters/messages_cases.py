"""The recorded Messages answers, and short ways to read them with our adapter."""

from typing import Any

import pytest
from cases import Recording, one_stream_per_vendor_and_feature, recorded

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.decoding import well_formed
from responses_mw.deltas import Delta, NativeTurn
from responses_mw.sse import SSEParser
from responses_mw.testing import play_recording
from responses_mw.turn import Turn

ADAPTER = AnthropicMessages()
TURN = Turn(model="claude-sonnet-4-5", spans=())

LOCAL = [r for r in recorded("local_llamacpp", "local_vllm") if "/messages-" in r.id]
ALL = [r for r in [*recorded("anthropic"), *LOCAL] if r.status == 200]
SPLICED = "anthropic/fx-spliced-message-start-stream"
UNTERMINATED = {
    # Files of the official SDK's tests whose last event lacks the blank line that ends it.
    "anthropic/fx-basic-response-stream",
    "anthropic/fx-incomplete-partial-json-response-stream",
    "anthropic/fx-tool-use-response-stream",
}
READABLE = [r for r in ALL if r.id != SPLICED]
STREAMS = [r for r in READABLE if r.streamed]
ONE_PER_FEATURE = set(map(str, one_stream_per_vendor_and_feature(STREAMS)))

each = pytest.mark.parametrize("recording", READABLE, ids=str)
each_stream = pytest.mark.parametrize("recording", STREAMS, ids=str)


def body_of(recording: Recording) -> bytes:
    """One message: some files hold two answers, one behind the other."""
    body = recording.body + b"\n\n" if recording.id in UNTERMINATED else recording.body
    head, stop, tail = body.partition(b'"message_stop"')
    return head + stop + tail[: tail.find(b"\n\n") + 2]


def play(recording: Recording, chunk: int | None = None) -> list[dict[str, Any]]:
    return play_recording(
        ADAPTER, body_of(recording), chunk=chunk, turn=TURN, whole=not recording.streamed
    )


@well_formed("anthropic")
def deltas_of(body: bytes, *, streamed: bool, turn: Turn = TURN) -> list[Delta]:
    if not streamed:
        return list(ADAPTER.decode(body, turn))
    decoder = ADAPTER.decoder(turn)
    found = [delta for event in SSEParser().feed(body) for delta in decoder.feed(event)]
    return [*found, *decoder.close()]


def blocks(message: dict[str, Any], *kinds: str) -> list[dict[str, Any]]:
    return [block for block in message["content"] if block["type"] in kinds]


def items(response: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in response["output"] if item["type"] == kind]


def text_parts(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for item in items(response, "message") for part in item["content"]]


def is_native(delta: Delta) -> bool:
    return isinstance(delta, NativeTurn)
