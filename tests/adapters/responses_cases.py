"""The recorded Responses answers, and short ways to read them with our adapter.

No test stands here, and nothing that is only about one vendor.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from cases import Recording, one_stream_per_vendor_and_feature, recorded

from responses_mw.adapters import openai_responses_dialects as dialects
from responses_mw.adapters.decoding import well_formed
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.deltas import (
    Canonical,
    Delta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from responses_mw.sse import ServerSentEvent, SSEParser
from responses_mw.testing import play_recording
from responses_mw.turn import Turn

DIALECT_OF = {
    "openai": dialects.OPENAI,
    "azure": dialects.AZURE,
    "azure_ai": dialects.AZURE_AI,
    "xai_responses": dialects.XAI,
    "openrouter_responses": dialects.OPENROUTER,
    "deepseek_responses": dialects.DEEPSEEK,
    "vllm_responses": dialects.VLLM,
    "lmstudio_responses": dialects.LMSTUDIO,
    "bedrock_mantle": dialects.BEDROCK_MANTLE,
    "local_llamacpp": dialects.LLAMACPP,
    "local_vllm": dialects.VLLM,
}
TURN = Turn(model="recorded", spans=())


def is_responses(recording: Recording) -> bool:
    """Fixtures have no address: there the answer itself has to tell."""
    if recording.url:
        return recording.url.partition("?")[0].endswith("/responses")
    body = recording.body[:3000].replace(b" ", b"")
    return b"response.created" in body or b'"object":"response"' in body


EVERY = [r for r in recorded(*DIALECT_OF) if is_responses(r)]
ANSWERS = [r for r in EVERY if r.status == 200]
WHOLE = [r for r in ANSWERS if not r.streamed]
STREAMS = [r for r in ANSWERS if r.streamed]
REFUSALS = [r for r in EVERY if r.status >= 400]
EVERY_CUT = one_stream_per_vendor_and_feature(STREAMS)


def adapter_for(recording: Recording) -> OpenAIResponses:
    return OpenAIResponses(dialect=DIALECT_OF[recording.provider])


def turn_of(recording: Recording) -> Turn:
    """What the answer depends on of its request."""
    asked = recording.request or {}
    return Turn(
        model=asked.get("model", "recorded"),
        spans=(),
        max_output_tokens=asked.get("max_output_tokens"),
        stream=recording.streamed,
    )


def play(recording: Recording, chunk: int | None = None) -> list[dict[str, Any]]:
    return play_recording(
        adapter_for(recording), recording.path, chunk=chunk, turn=turn_of(recording)
    )


def final(recording: Recording) -> dict[str, Any]:
    response: dict[str, Any] = play(recording)[-1]["response"]
    return response


def frames(body: bytes) -> list[ServerSentEvent]:
    return SSEParser().feed(body)


def stream_of(events: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)


def said_upstream(recording: Recording) -> list[dict[str, Any]]:
    """The upstream's own events, up to its end: some files hold two answers."""
    events: list[dict[str, Any]] = []
    for frame in frames(recording.body):
        if frame.data == b"[DONE]":
            break
        events.append(orjson.loads(frame.data))
        if events[-1]["type"] in ENDS:
            break
    return events


ENDS = ("response.completed", "response.incomplete", "response.failed")


def answered_upstream(recording: Recording) -> dict[str, Any]:
    """The upstream's own response object, as it was at its end."""
    if not recording.streamed:
        return dict(orjson.loads(recording.body))
    return dict(said_upstream(recording)[-1]["response"])


@well_formed("responses")
def decoded(
    *events: dict[str, Any], adapter: OpenAIResponses | None = None, turn: Turn = TURN
) -> list[Delta]:
    decoder = (adapter or OpenAIResponses()).decoder(turn)
    deltas = [delta for frame in frames(stream_of(events)) for delta in decoder.feed(frame)]
    return [*deltas, *decoder.close()]


def deltas_of(recording: Recording) -> list[Delta]:
    adapter, turn = adapter_for(recording), turn_of(recording)
    if not recording.streamed:
        return list(adapter.decode(recording.body, turn))
    decoder = adapter.decoder(turn)
    return [delta for frame in frames(recording.body) for delta in decoder.feed(frame)]


def merged(deltas: Iterable[Delta]) -> list[Delta]:
    """How an answer was cut no longer shows: neighbouring pieces are one, and of an item that was
    passed through only its end is left."""
    result: list[Delta] = []
    for delta in deltas:
        if isinstance(delta, Canonical) and delta.event["type"] != "response.output_item.done":
            continue
        joined = _joined(result[-1], delta) if result else None
        if joined is None:
            result.append(delta)
        else:
            result[-1] = joined
    return result


def _joined(first: Delta, second: Delta) -> Delta | None:
    match first, second:
        case TextDelta(), TextDelta():
            return TextDelta(first.text + second.text, (*first.logprobs, *second.logprobs))
        case RefusalDelta(), RefusalDelta():
            return RefusalDelta(first.text + second.text)
        case ReasoningDelta(), ReasoningDelta() if first.raw == second.raw:
            return ReasoningDelta(first.text + second.text, raw=first.raw)
        case ToolCallDelta(), ToolCallDelta() if first.key == second.key:
            return ToolCallDelta(first.key, first.arguments + second.arguments)
    return None
