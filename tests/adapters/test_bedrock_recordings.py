"""Every recorded Bedrock answer: whole, in pieces and cut short.

The official client reads the same bytes and has the last word on what they say. Its reading was
written down once, in short, in `expected/`; that table is what our reading is held to.
"""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from bedrock_cases import (
    ADAPTERS,
    ANSWERS,
    COMPLETIONS,
    EVERY,
    EVERY_CUT,
    REFUSALS,
    STREAMS,
    as_server_sent_events,
    converse,
    each,
    each_stream,
    frames,
    items,
    play,
    recorded_deltas,
    text_parts,
)
from bedrock_oracle import canonical, facts, official_message, short
from cases import Recording, needs_recordings, truncations
from messages_oracle import official_message as official_claude

from responses_mw.deltas import ItemFinished, NativeTurn
from responses_mw.errors import UpstreamRefused
from responses_mw.testing import check_event_order

EXPECTED: dict[str, dict[str, Any]] = {
    id: facts
    for provider in ADAPTERS
    for id, facts in json.loads(
        Path(__file__).with_name("expected").joinpath(f"{provider}.json").read_bytes()
    ).items()
}

# --- what was said


@each
def test_recording_says_what_the_table_says(recording: Recording) -> None:
    events = play(recording)
    check_event_order(events)
    expected, response = EXPECTED[recording.id], events[-1]["response"]

    assert response["status"] == expected["status"]
    assert (response["incomplete_details"] or {}).get("reason") == expected["reason"]
    assert short("".join(part["text"] for part in text_parts(response))) == expected["text"]
    thoughts = items(response, "reasoning")
    assert [short("".join(p["text"] for p in t["summary"])) for t in thoughts] == (
        expected["thinking"]
    )
    assert [
        [call["call_id"], call["name"], canonical(json.loads(call["arguments"]))]
        for call in items(response, "function_call")
    ] == expected["calls"]
    hosted = [item["code"] for item in items(response, "code_interpreter_call")]
    assert len(hosted) == len(expected["hosted"])
    assert tokens(response["usage"]) == expected["usage"]


def tokens(usage: dict[str, Any]) -> list[int]:
    details = usage["input_tokens_details"]
    return [
        usage["input_tokens"],
        details["cached_tokens"],
        details["cache_write_tokens"],
        usage["output_tokens"],
    ]


@each
def test_table_says_what_the_official_client_reads(recording: Recording) -> None:
    assert official_facts(recording) == EXPECTED[recording.id]


def official_facts(recording: Recording) -> dict[str, Any]:
    if recording.provider == "bedrock":
        return facts(official_message(recording.body, streamed=recording.streamed))
    body = as_server_sent_events(recording.body) if recording.streamed else recording.body
    return facts(in_converse_words(official_claude(body, streamed=recording.streamed)))


def in_converse_words(message: dict[str, Any]) -> dict[str, Any]:
    """A message of Claude's, so that both are told in one table."""
    usage = message["usage"]
    content: list[dict[str, Any]] = []
    for block in message["content"]:
        match block["type"]:
            case "text":
                content.append({"text": block["text"]})
            case "thinking":
                said = {"text": block["thinking"], "signature": block["signature"]}
                content.append({"reasoningContent": {"reasoningText": said}})
            case "tool_use":
                use = {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}
                content.append({"toolUse": use})
    return {
        "content": content,
        "stopReason": message["stop_reason"],
        "usage": {
            "inputTokens": usage["input_tokens"],
            "outputTokens": usage["output_tokens"],
            "cacheReadInputTokens": usage.get("cache_read_input_tokens") or 0,
            "cacheWriteInputTokens": usage.get("cache_creation_input_tokens") or 0,
        },
    }


@needs_recordings
def test_table_is_complete() -> None:
    assert EXPECTED.keys() == {recording.id for recording in ANSWERS}
    assert len(ANSWERS) + len(REFUSALS) + len(COMPLETIONS) == len(EVERY) == 53


@needs_recordings
def test_code_that_aws_ran_is_shown_with_what_it_printed() -> None:
    (recording,) = [r for r in ANSWERS if r.id.endswith("code-execution-tool-stream-0")]
    (call,) = items(play(recording)[-1]["response"], "code_interpreter_call")

    assert call["code"] == "1234 * 5678"
    assert call["outputs"] == [{"type": "logs", "logs": "7006652"}]
    assert call["status"] == "completed"


# --- in pieces


@each_stream
@pytest.mark.parametrize("chunk", [1, 700])
def test_stream_means_the_same_however_its_bytes_arrive(recording: Recording, chunk: int) -> None:
    assert stamped(play(recording, chunk=chunk)) == stamped(play(recording))


def stamped(events: list[dict[str, Any]]) -> str:
    """`completed_at` is the time of the test."""
    return json.dumps(events[:-1]) + json.dumps({**events[-1]["response"], "completed_at": None})


@each_stream
def test_stream_cut_short_ends_once_and_in_order(recording: Recording) -> None:
    """All of an answer is said when its message ends: only what it cost comes behind that."""
    at_most = None if recording in EVERY_CUT else 20
    cuts = list(truncations(recording, at_most=at_most))
    assert len(cuts) > 3
    for body in cuts:
        events = play(recording, body)
        check_event_order(events)
        response = events[-1]["response"]
        if b"messageStop" in body:
            assert response["status"] == EXPECTED[recording.id]["status"]
            assert response["usage"] is None
        else:
            assert response["status"] == "failed"
            assert response["error"]["code"] == "upstream_protocol_error"


# --- the native turn


@pytest.mark.parametrize("recording", converse(ANSWERS), ids=str)
def test_native_turn_is_the_content_as_it_came(recording: Recording) -> None:
    expected = EXPECTED[recording.id]
    deltas = recorded_deltas(recording)
    found = [delta for delta in deltas if isinstance(delta, NativeTurn)]

    if not (expected["signed"] or expected["hosted"] or expected["cited"]):
        assert found == []
        return
    (native,) = found
    assert native.state == sent_back(recording)
    sealed = [d.native.state for d in deltas if isinstance(d, ItemFinished) and d.native]
    assert len(sealed) == expected["signed"]
    for state in sealed:
        assert state[0] in native.state


def sent_back(recording: Recording) -> list[Any]:
    """By the raw bytes, joined by hand: what the client of the second request would replay."""
    if not recording.streamed:
        content = orjson.loads(recording.body)["output"]["message"]["content"]
    else:
        content = raw_blocks(recording)
    for block in content:
        # Bedrock says it of calls, and does not take it back.
        if block.get("toolUse", {}).get("type") == "tool_use":
            del block["toolUse"]["type"]
    return content


def raw_blocks(recording: Recording) -> list[Any]:
    blocks: dict[int, Any] = {}
    for kind, payload in frames(recording.body):
        if kind == "contentBlockStart":
            blocks[payload["contentBlockIndex"]] = payload["start"]
        elif kind == "contentBlockDelta":
            add(blocks.setdefault(payload["contentBlockIndex"], {}), payload["delta"])
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return [blocks[index] for index in sorted(blocks)]


def add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta:
        case {"text": text} if "citationsContent" in block:
            block["citationsContent"]["content"][0]["text"] += text
        case {"text": text}:
            block["text"] = block.get("text", "") + text
        case {"citation": citation}:
            block["citationsContent"] = {"content": [{"text": ""}], "citations": [citation]}
        case {"reasoningContent": part}:
            whole = block.setdefault("reasoningContent", {"reasoningText": {}})["reasoningText"]
            for key, text in part.items():
                whole[key] = whole.get(key, "") + text
        case {"toolUse": {"input": text}}:
            block["toolUse"]["input"] = block["toolUse"].get("input", "") + text
        case {"toolResult": content}:
            block["toolResult"]["content"] = content


# --- errors


@needs_recordings
def test_recorded_http_errors_are_translated() -> None:
    found = {}
    for recording in REFUSALS:
        headers = {k.lower(): v for k, v in recording.meta["response_headers"].items()}
        error = ADAPTERS[recording.provider].error(recording.status, headers, recording.body)
        assert isinstance(error, UpstreamRefused)
        found[recording.id.partition("/")[2]] = (error.status, error.code)

    assert found == {
        "chatlas-provider-bedrock-anthropic-images-1": (400, None),
        "opentelemetry-converse-stream-with-invalid-model-0": (404, "model_not_found"),
        "opentelemetry-converse-with-invalid-model-0": (404, "model_not_found"),
        "ruby-llm-chat-error-handling-with-bedrock-amazon-nova-2-lite-v1-0-raises-appropriate"
        "-auth-0": (403, "permission_denied"),
    }


@needs_recordings
def test_streams_are_among_the_recordings() -> None:
    assert len(STREAMS) > 15
