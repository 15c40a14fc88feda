"""A whole answer and its stream say the same: each is made from the other, and both are decoded.

The streams are built by the API's documentation, the whole answers by the official client.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from cases import Recording
from messages_cases import READABLE, STREAMS, body_of, deltas_of
from messages_oracle import official_message

from responses_mw.deltas import (
    Delta,
    ItemFinished,
    NativeTurn,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UpstreamInfo,
    UsageReported,
)


def merged(deltas: Iterable[Delta]) -> list[Any]:
    """What the deltas come to: pieces joined, counts and facts at their last value."""
    found: list[Any] = []
    facts: dict[str, Any] = {}
    for delta in deltas:
        match delta, found[-1] if found else None:
            case UpstreamInfo(model=model, upstream_id=id), _:
                facts |= {"model": model or facts.get("model"), "id": id or facts.get("id")}
            case UsageReported(), _:
                facts["usage"] = delta
            case TextDelta(text), ["text", said]:
                found[-1] = ["text", said + text]
            case TextDelta(text), _:
                found.append(["text", text])
            case ReasoningDelta(text), ["reasoning", said]:
                found[-1] = ["reasoning", said + text]
            case ReasoningDelta(text), _:
                found.append(["reasoning", text])
            case ToolCallDelta(key, text), ["arguments", same, said] if same == key:
                found[-1] = ["arguments", key, said + text]
            case ToolCallDelta(key, text), _:
                found.append(["arguments", key, text])
            case _:
                found.append(delta)
    parsed = [["arguments", e[1], json.loads(e[2])] if is_arguments(e) else e for e in found]
    return [*parsed, facts]


def is_arguments(entry: Any) -> bool:
    return isinstance(entry, list) and entry[0] == "arguments"


def streamed_from(message: dict[str, Any]) -> bytes:
    """The stream that such an answer is told in, by the API's documentation; pieces of 5."""
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        for event in stream_events(message)
    )


def stream_events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    usage = message["usage"]
    opening = {
        **message,
        "content": [],
        "stop_reason": None,
        "usage": {**usage, "output_tokens": 1},
    }
    yield {"type": "message_start", "message": opening}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        empty, pieces = dict(block), []
        match block["type"]:
            case "text":
                empty["text"] = ""
                if block.get("citations"):
                    empty["citations"] = []
                    pieces += [
                        {"type": "citations_delta", "citation": c} for c in block["citations"]
                    ]
                pieces += [{"type": "text_delta", "text": p} for p in cut(block["text"])]
            case "thinking":
                empty |= {"thinking": "", "signature": ""}
                pieces += [
                    {"type": "thinking_delta", "thinking": p} for p in cut(block["thinking"])
                ]
                pieces += [{"type": "signature_delta", "signature": block["signature"]}]
            case "tool_use" | "server_tool_use" | "mcp_tool_use":
                empty["input"] = {}
                arguments = json.dumps(block["input"]) if block["input"] else ""
                pieces += [{"type": "input_json_delta", "partial_json": ""}]
                pieces += [{"type": "input_json_delta", "partial_json": p} for p in cut(arguments)]
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for piece in pieces:
            yield {"type": "content_block_delta", "index": index, "delta": piece}
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": message.get("stop_sequence")}
    yield {
        "type": "message_delta",
        "delta": end,
        "usage": {"output_tokens": usage["output_tokens"]},
    }
    yield {"type": "message_stop"}


def cut(text: str) -> list[str]:
    return [text[start : start + 5] for start in range(0, len(text), 5)]


@pytest.mark.parametrize("recording", [r for r in READABLE if not r.streamed], ids=str)
def test_whole_answer_gives_the_deltas_that_its_stream_would(recording: Recording) -> None:
    stream = streamed_from(json.loads(recording.body))

    assert merged(deltas_of(stream, streamed=True)) == merged(
        deltas_of(recording.body, streamed=False)
    )


@pytest.mark.parametrize(
    "recording", [r for r in STREAMS if "incomplete-partial-json" not in r.id], ids=str
)
def test_streamed_answer_gives_the_deltas_that_it_would_whole(recording: Recording) -> None:
    body = body_of(recording)
    message = official_message(body, streamed=True)
    from_stream = merged(deltas_of(body, streamed=True))
    from_whole = merged(deltas_of(json.dumps(message).encode(), streamed=False))

    # The official client reads server-tool results into types of its own; their content is opaque.
    assert without_native(from_whole) == without_native(from_stream)


def without_native(entries: list[Any]) -> list[Any]:
    return [
        ItemFinished(entry.key) if isinstance(entry, ItemFinished) else entry
        for entry in entries
        if not isinstance(entry, NativeTurn)
    ]
