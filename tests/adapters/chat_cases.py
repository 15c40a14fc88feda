"""What the tests of the chat adapter share: which recordings are chat, and how deltas compare.

No test stands here, and nothing that is only about one vendor.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from cases import Recording, recorded

from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import DIALECTS, GENERIC
from responses_mw.adapters.decoding import well_formed
from responses_mw.deltas import Delta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from responses_mw.sse import ServerSentEvent, SSEParser
from responses_mw.turn import Turn

DIALECT_OF = {
    "azure_ai": "azure",
    "gemini_openai_compat": "gemini",
    "gpustack_vllm": "gpustack",
    "local_llamacpp": "llamacpp",
    "local_vllm": "vllm",
    "ollama_cloud": "ollama",
    "openai_chat": "openai",
    "vllm_chat": "vllm",
}
"""Folders of recordings that are not called like their dialect."""

TURN = Turn(model="recorded", spans=())


def chat_recordings(kind: str | None = None, *, status: int | None = 200) -> list[Recording]:
    return [recording for recording in recorded(kind=kind, status=status) if is_chat(recording)]


def is_chat(recording: Recording) -> bool:
    """Fixtures have no address: there the answer itself has to tell."""
    if recording.url:
        return "chat/completions" in recording.url
    return recording.path.suffix in (".json", ".sse") and b'"choices"' in recording.body


def adapter_for(recording: Recording) -> ChatCompletions:
    name = DIALECT_OF.get(recording.provider, recording.provider)
    return ChatCompletions(DIALECTS.get(name, GENERIC))


def chunks_of(recording: Recording) -> list[dict[str, Any]]:
    """The JSON objects of a recorded stream, or the one of a whole answer."""
    if recording.kind == "json":
        return [orjson.loads(recording.body)]
    events = frames(recording.body)
    return [orjson.loads(event.data) for event in events if event.data != b"[DONE]"]


def frames(body: bytes) -> list[ServerSentEvent]:
    return SSEParser().feed(body)


def stream_of(chunks: Iterable[dict[str, Any]], *, done: bool = True) -> bytes:
    frames = [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks]
    return b"".join([*frames, b"data: [DONE]\n\n"] if done else frames)


@well_formed("chat")
def decode_stream(adapter: ChatCompletions, body: bytes, turn: Turn = TURN) -> list[Delta]:
    decoder = adapter.decoder(turn)
    deltas = [delta for event in frames(body) for delta in decoder.feed(event)]
    return [*deltas, *decoder.close()]


def decode_chunks(
    adapter: ChatCompletions, *chunks: dict[str, Any], done: bool = True
) -> list[Delta]:
    return decode_stream(adapter, stream_of(chunks, done=done))


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def answer(finish_reason: str = "stop", **message: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return orjson.dumps({"choices": [choice]})


def merged(deltas: Iterable[Delta]) -> list[Delta]:
    """Neighbouring pieces of one thing joined: how an answer was cut no longer shows."""
    result: list[Delta] = []
    for delta in deltas:
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


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def reasoning_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta))
