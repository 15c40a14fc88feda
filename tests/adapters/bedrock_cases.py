"""The recorded Bedrock answers, and short ways to read them with our adapters."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from botocore.eventstream import EventStreamBuffer
from cases import Recording, one_stream_per_vendor_and_feature, recorded

from responses_mw.adapters.base import Adapter
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.decoding import well_formed
from responses_mw.deltas import Delta
from responses_mw.eventstream import EventStreamParser
from responses_mw.testing import play_recording
from responses_mw.turn import Turn

ADAPTERS: Mapping[str, Adapter] = {
    "bedrock": BedrockConverse(),
    "bedrock_invoke_anthropic": BedrockInvoke(),
}

EVERY = recorded(*ADAPTERS)
COMPLETIONS = {
    "bedrock_invoke_anthropic/dd-trace-py-bedrock-cassettes-anthropic-invoke-0",
    "bedrock_invoke_anthropic/dd-trace-py-bedrock-cassettes-anthropic-invoke-stream-0",
}
"""Of an API that Messages replaced: text, not messages."""
ANSWERS = [r for r in EVERY if r.status == 200 and r.id not in COMPLETIONS]
STREAMS = [r for r in ANSWERS if r.streamed]
REFUSALS = [r for r in EVERY if r.status >= 400]
EVERY_CUT = one_stream_per_vendor_and_feature(STREAMS)

each = pytest.mark.parametrize("recording", ANSWERS, ids=str)
each_stream = pytest.mark.parametrize("recording", STREAMS, ids=str)


def converse(recordings: list[Recording]) -> list[Recording]:
    return [r for r in recordings if r.provider == "bedrock"]


def model_of(recording: Recording) -> str:
    found = re.search(r"/model/([^/]+)/", recording.url)
    assert found is not None
    return unquote(found[1])


def turn_of(recording: Recording) -> Turn:
    return Turn(model=model_of(recording), spans=(), stream=recording.streamed)


def play(recording: Recording, body: bytes | None = None, chunk: int | None = None) -> list[Any]:
    return play_recording(
        ADAPTERS[recording.provider],
        recording.body if body is None else body,
        chunk=chunk,
        turn=turn_of(recording),
        whole=not recording.streamed,
    )


@well_formed("bedrock")
def deltas_of(
    adapter: Adapter, body: bytes, *, streamed: bool, turn: Turn | None = None
) -> list[Delta]:
    turn = turn or Turn(model="us.anthropic.claude-sonnet-4-5-20250929-v1:0", spans=())
    if not streamed:
        return list(adapter.decode(body, turn))
    decoder = adapter.decoder(turn)
    found = [delta for event in EventStreamParser().feed(body) for delta in decoder.feed(event)]
    return [*found, *decoder.close()]


def recorded_deltas(recording: Recording, turn: Turn | None = None) -> list[Delta]:
    return deltas_of(
        ADAPTERS[recording.provider],
        recording.body,
        streamed=recording.streamed,
        turn=turn or turn_of(recording),
    )


def as_server_sent_events(body: bytes) -> bytes:
    """The Messages stream inside InvokeModel's frames, unwrapped by the official client."""
    from bedrock_oracle import official_events

    said = b""
    for event in official_events(body, "InvokeModelWithResponseStream"):
        data = event["chunk"]["bytes"]
        said += b"event: " + orjson.loads(data)["type"].encode() + b"\ndata: " + data + b"\n\n"
    return said


def frames(body: bytes) -> list[tuple[str, Any]]:
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    return [(m.headers[":event-type"], orjson.loads(m.payload)) for m in buffer]


def items(response: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in response["output"] if item["type"] == kind]


def text_parts(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for item in items(response, "message") for part in item["content"]]
