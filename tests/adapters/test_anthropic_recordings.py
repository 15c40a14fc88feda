"""Every recorded Messages answer: whole, in pieces and cut short.

The official client reads the same bytes and has the last word on what they say.
"""

import base64
import json
from typing import Any

import pytest
from cases import (
    Recording,
    needs_recordings,
    recorded,
    truncations,
)
from messages_cases import (
    ADAPTER,
    ALL,
    ONE_PER_FEATURE,
    SPLICED,
    TURN,
    blocks,
    body_of,
    deltas_of,
    each,
    each_stream,
    is_native,
    items,
    play,
    text_parts,
)
from messages_oracle import official_message

from responses_mw.deltas import (
    ItemFinished,
    UpstreamInfo,
)
from responses_mw.testing import check_event_order, play_recording

# --- the official client's reading


@each
def test_recording_says_what_the_official_client_reads(recording: Recording) -> None:
    message = official_message(body_of(recording), streamed=recording.streamed)
    events = play(recording)
    check_event_order(events)
    response = events[-1]["response"]

    said = "".join(part["text"] for part in text_parts(response))
    assert said == "".join(block["text"] for block in blocks(message, "text"))
    thought = [
        "".join(part["text"] for part in item["summary"]) for item in items(response, "reasoning")
    ]
    expected = [
        block.get("thinking", "") for block in blocks(message, "thinking", "redacted_thinking")
    ]
    assert thought == expected
    assert calls_of(response) == [
        (block["id"], block["name"], block["input"]) for block in blocks(message, "tool_use")
    ]


def calls_of(response: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [
        (item["call_id"], item["name"], arguments_of(item))
        for item in items(response, "function_call")
    ]


def arguments_of(call: dict[str, Any]) -> Any:
    """Arguments that were cut off are read as the official client reads them: as far as they go."""
    from jiter import from_json

    return from_json(call["arguments"].encode(), partial_mode=call["status"] == "incomplete")


@each
def test_recording_costs_what_the_official_client_counts(recording: Recording) -> None:
    usage = official_message(body_of(recording), streamed=recording.streamed)["usage"]
    read = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0

    found = play(recording)[-1]["response"]["usage"]

    assert found["input_tokens"] == usage["input_tokens"] + read + written
    assert found["input_tokens_details"]["cached_tokens"] == read
    assert found["input_tokens_details"]["cache_write_tokens"] == written
    assert found["output_tokens"] == usage["output_tokens"]
    details = usage.get("output_tokens_details") or {}
    assert found["output_tokens_details"]["reasoning_tokens"] == details.get("thinking_tokens", 0)


@each
def test_recording_ends_for_the_reason_that_the_official_client_reads(recording: Recording) -> None:
    reason = official_message(body_of(recording), streamed=recording.streamed)["stop_reason"]
    expected = {
        "end_turn": None,
        "tool_use": None,
        "stop_sequence": None,
        "max_tokens": {"reason": "max_output_tokens"},
        "refusal": {"reason": "content_filter"},
    }[reason]

    response = play(recording)[-1]["response"]

    assert response["incomplete_details"] == expected
    assert response["status"] == ("completed" if expected is None else "incomplete")


@each
def test_citations_with_a_url_point_at_the_text_they_belong_to(recording: Recording) -> None:
    message = official_message(body_of(recording), streamed=recording.streamed)
    expected = [
        (citation["url"], block["text"])
        for block in blocks(message, "text")
        for citation in block.get("citations") or ()
        if "url" in citation
    ]

    found = [
        (note["url"], part["text"][note["start_index"] : note["end_index"]])
        for part in text_parts(play(recording)[-1]["response"])
        for note in part["annotations"]
    ]

    assert found == expected
    if "citations" in recording.features and "ruby-llm-chat-citations" not in recording.id:
        assert found or "fetch" in recording.id


# --- in pieces


@pytest.mark.untraced
@each_stream
def test_stream_means_the_same_however_its_bytes_arrive(recording: Recording) -> None:
    whole = play(recording)
    for size in (1, 7, 1000):
        assert stamped(play(recording, chunk=size)) == stamped(whole)


def stamped(events: list[dict[str, Any]]) -> str:
    for event in events:
        if "response" in event:
            event["response"]["completed_at"] = 0
    return json.dumps(events)


@each_stream
def test_stream_cut_short_fails_once_and_in_order(recording: Recording) -> None:
    at_most = None if str(recording) in ONE_PER_FEATURE else 20
    whole = body_of(recording)
    cuts = [body for body in truncations(recording, at_most=at_most) if len(body) < len(whole)]
    assert len(cuts) > 3
    for body in cuts:
        events = play_recording(ADAPTER, body, turn=TURN)
        check_event_order(events)
        assert events[-1]["type"] == "response.failed"
        assert events[-1]["response"]["error"]["code"] == "upstream_protocol_error"


# --- the same messages in another wrapping


def unwrapped(recording: Recording) -> bytes:
    """As server-sent events. A frame is a prelude of 12 bytes, headers, payload, checksum of 4."""
    if not recording.streamed:
        return recording.body
    events, start = b"", 0
    for stop in recording.frame_ends:
        frame, start = recording.body[start:stop], stop
        payload = json.loads(frame[12 + int.from_bytes(frame[4:8], "big") : -4])
        data = base64.b64decode(payload["bytes"])
        kind = json.loads(data).get("type", "")
        events += b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
    return events


INVOKED = [
    recording
    for recording in recorded("bedrock_invoke_anthropic", status=200)
    if b'"completion":' not in unwrapped(recording)  # an older API: text, not messages
]


@pytest.mark.parametrize("recording", INVOKED, ids=str)
def test_messages_inside_bedrock_frames_are_read_alike(recording: Recording) -> None:
    body = unwrapped(recording)
    message = official_message(body, streamed=recording.streamed)

    events = play_recording(ADAPTER, body, turn=TURN, whole=not recording.streamed)

    check_event_order(events)
    response = events[-1]["response"]
    said = "".join(part["text"] for part in text_parts(response))
    assert said == "".join(block["text"] for block in blocks(message, "text"))
    assert [(id, name) for id, name, _ in calls_of(response)] == [
        (block["id"], block["name"]) for block in blocks(message, "tool_use")
    ]


# --- the native turn


@each
def test_native_turn_is_the_content_as_it_came(recording: Recording) -> None:
    message = official_message(body_of(recording), streamed=recording.streamed)
    kinds = {block["type"] for block in message["content"]}
    cited = any(block.get("citations") for block in blocks(message, "text"))
    suffice = kinds <= {"text", "tool_use"} and not cited

    found = [d for d in deltas_of(body_of(recording), streamed=recording.streamed) if is_native(d)]

    if suffice:
        assert found == []
        return
    (native,) = found
    assert native.scope == "anthropic:claude-sonnet-4-5"
    kept = [b for b in message["content"] if b["type"] != "text" or b["text"]]
    assert [block["type"] for block in native.state] == [block["type"] for block in kept]
    for ours, theirs in zip(native.state, kept, strict=True):
        for key in ("text", "thinking", "signature", "data", "id", "name", "input", "tool_use_id"):
            assert ours.get(key) == theirs.get(key)
        assert (ours.get("citations") or []) == (theirs.get("citations") or [])
    if not recording.streamed:
        assert native.state == [
            b for b in json.loads(recording.body)["content"] if b["type"] != "text" or b["text"]
        ]


@each
def test_each_signed_thinking_block_is_sealed_by_itself(recording: Recording) -> None:
    message = official_message(body_of(recording), streamed=recording.streamed)
    deltas = deltas_of(body_of(recording), streamed=recording.streamed)

    sealed = [d.native.state for d in deltas if isinstance(d, ItemFinished) and d.native]

    expected = blocks(message, "thinking", "redacted_thinking")
    assert [block.get("signature") or block["data"] for (block,) in sealed] == [
        block.get("signature") or block["data"]
        for block in expected
        if block.get("signature") or block.get("data")
    ]


# --- single things that the recordings show


def recording_of(name: str) -> Recording:
    return next(r for r in ALL if r.id.endswith(name))


@needs_recordings
def test_web_search_is_shown_as_a_call_between_messages() -> None:
    response = play(recording_of("searches-cites-and-reports-tool-0"))[-1]["response"]

    assert [item["type"] for item in response["output"]] == ["web_search_call", "message"]
    assert response["output"][0]["status"] == "completed"
    assert response["output"][0]["action"] == {
        "type": "search",
        "query": "latest stable Ruby version 2026",
    }


@needs_recordings
def test_mcp_call_is_shown_with_its_output() -> None:
    response = play(recording_of("anthropic-mcp-servers-0"))[-1]["response"]

    (call,) = items(response, "mcp_call")
    assert (call["server_label"], call["name"]) == ("deepwiki", "ask_question")
    assert call["output"].startswith("Pydantic AI is a Python agent framework")
    assert call["error"] is None


@needs_recordings
def test_tool_call_without_arguments_has_an_empty_object() -> None:
    response = play(recording_of("fx-anthropic-tool-no-args-stream"))[-1]["response"]

    assert [item["arguments"] for item in items(response, "function_call")] == ["{}"]


@needs_recordings
def test_texts_around_a_silent_server_tool_are_two_messages() -> None:
    response = play(recording_of("fx-anthropic-code-execution-20250825-1-stream"))[-1]["response"]

    assert len(items(response, "message")) > 1


@needs_recordings
def test_message_that_begins_twice_is_read_once() -> None:
    response = play(recording_of("fx-duplicate-message-start-stream"))[-1]["response"]

    assert [part["text"] for part in text_parts(response)] == ["Hello, World!"]


@needs_recordings
def test_second_message_inside_the_first_is_an_error() -> None:
    events = play(recording_of(SPLICED))

    check_event_order(events)
    assert "second message" in events[-1]["response"]["error"]["message"]


@needs_recordings
def test_model_that_took_over_is_reported() -> None:
    recording = recording_of("fx-anthropic-fallback-stream")

    models = [
        d.model for d in deltas_of(recording.body, streamed=True) if isinstance(d, UpstreamInfo)
    ]

    assert models == ["claude-fable-5", "claude-opus-4-8"]


@needs_recordings
def test_recorded_http_errors_are_translated() -> None:
    found = {
        (r.status, ADAPTER.error(r.status, {}, r.body).code)
        for r in recorded("anthropic")
        if r.status >= 400
    }

    assert found == {
        (400, "context_length_exceeded"),
        (401, "invalid_api_key"),
        (404, "model_not_found"),
    }
