"""Decoding Messages answers: every recording, whole, in pieces and cut short.

The official client reads the same bytes and has the last word on what they say.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from cases import (
    Recording,
    needs_recordings,
    one_stream_per_vendor_and_feature,
    recorded,
    truncations,
)
from messages_oracle import official_message

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    ItemFinished,
    NativeTurn,
    OutputItem,
    ReasoningDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
    UsageReported,
)
from responses_mw.errors import UpstreamProtocolError, UpstreamRefused
from responses_mw.sse import ServerSentEvent, SSEParser
from responses_mw.testing import check_event_order, play_recording
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

pytestmark = needs_recordings
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


@each_stream
def test_stream_means_the_same_however_its_bytes_arrive(recording: Recording) -> None:
    whole = play(recording)
    sizes = (1, 7) if len(recording.body) < 20_000 else (7, 1000)
    for size in sizes:
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


# --- whole and streamed


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


def is_native(delta: Delta) -> bool:
    return isinstance(delta, NativeTurn)


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


def test_web_search_is_shown_as_a_call_between_messages() -> None:
    response = play(recording_of("searches-cites-and-reports-tool-0"))[-1]["response"]

    assert [item["type"] for item in response["output"]] == ["web_search_call", "message"]
    assert response["output"][0]["status"] == "completed"
    assert response["output"][0]["action"] == {
        "type": "search",
        "query": "latest stable Ruby version 2026",
    }


def test_mcp_call_is_shown_with_its_output() -> None:
    response = play(recording_of("anthropic-mcp-servers-0"))[-1]["response"]

    (call,) = items(response, "mcp_call")
    assert (call["server_label"], call["name"]) == ("deepwiki", "ask_question")
    assert call["output"].startswith("Pydantic AI is a Python agent framework")
    assert call["error"] is None


def test_tool_call_without_arguments_has_an_empty_object() -> None:
    response = play(recording_of("fx-anthropic-tool-no-args-stream"))[-1]["response"]

    assert [item["arguments"] for item in items(response, "function_call")] == ["{}"]


def test_texts_around_a_silent_server_tool_are_two_messages() -> None:
    response = play(recording_of("fx-anthropic-code-execution-20250825-1-stream"))[-1]["response"]

    assert len(items(response, "message")) > 1


def test_message_that_begins_twice_is_read_once() -> None:
    response = play(recording_of("fx-duplicate-message-start-stream"))[-1]["response"]

    assert [part["text"] for part in text_parts(response)] == ["Hello, World!"]


def test_second_message_inside_the_first_is_an_error() -> None:
    events = play(recording_of(SPLICED))

    check_event_order(events)
    assert events[-1]["response"]["error"]["code"] == "upstream_protocol_error"


def test_model_that_took_over_is_reported() -> None:
    recording = recording_of("fx-anthropic-fallback-stream")

    models = [
        d.model for d in deltas_of(recording.body, streamed=True) if isinstance(d, UpstreamInfo)
    ]

    assert models == ["claude-fable-5", "claude-opus-4-8"]


# --- what was not recorded


def sse(*events: dict[str, Any]) -> list[ServerSentEvent]:
    return [ServerSentEvent(None, json.dumps(event).encode()) for event in events]


START = {
    "type": "message_start",
    "message": {"id": "msg_1", "model": "claude-sonnet-4-5", "content": [], "usage": {}},
}
STOP = {"type": "message_stop"}


def end(reason: str | None) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason},
        "usage": {"output_tokens": 3},
    }


def block_of(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def decoded(*events: dict[str, Any], turn: Turn = TURN) -> list[Delta]:
    decoder = ADAPTER.decoder(turn)
    return [d for event in sse(*events) for d in decoder.feed(event)] + list(decoder.close())


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("overloaded_error", 503, "server_error"),
        ("rate_limit_error", 429, "rate_limit_exceeded"),
        ("api_error", 500, "server_error"),
    ],
)
def test_error_in_a_stream_is_translated(kind: str, status: int, code: str) -> None:
    """Not recorded: the body is built from the official SDK's types."""
    from anthropic.types.shared import ErrorResponse
    from pydantic import TypeAdapter

    body = {"type": "error", "error": {"type": kind, "message": "Try again"}, "request_id": "r"}
    TypeAdapter(ErrorResponse).validate_python(body, strict=True)

    with pytest.raises(UpstreamRefused) as refused:
        decoded(START, body)

    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(429, "rate_limit_error", "rate_limit_exceeded"), (529, "overloaded_error", "server_error")],
)
def test_http_error_is_translated(status: int, kind: str, code: str) -> None:
    """Not recorded: the body is built from the official SDK's types."""
    body = {"type": "error", "error": {"type": kind, "message": "Try again"}, "request_id": "r"}

    error = ADAPTER.error(status, {"retry-after": "7"}, json.dumps(body).encode())

    assert (error.code, error.retry_after, error.provider) == (code, 7.0, "anthropic")


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


@pytest.mark.parametrize(
    ("reason", "stopped"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),
        ("compaction", "stop"),
        ("something_new", "stop"),
        (None, "stop"),
        ("max_tokens", "max_output_tokens"),
        ("model_context_window_exceeded", "max_output_tokens"),
        ("refusal", "content_filter"),
        ("pause_turn", "max_output_tokens"),
    ],
)
def test_stop_reason(reason: str | None, stopped: str) -> None:
    assert decoded(START, end(reason), STOP)[-1] == Stopped(stopped)


def test_unknown_events_blocks_and_deltas_are_passed_over() -> None:
    found = decoded(
        START,
        {"type": "weather", "report": "sunny"},
        *block_of(0, {"type": "hologram", "light": 1}, {"type": "light_delta", "light": 2}),
        *block_of(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hi"}),
        end("end_turn"),
        STOP,
        {"type": "content_block_stop", "index": 77},
    )

    assert TextDelta("Hi") in found
    assert not any(map(is_native, found))  # a block of unknown growth cannot be given back


def test_unknown_block_that_came_whole_is_given_back() -> None:
    found = decoded(START, *block_of(0, {"type": "hologram", "light": 1}), end("end_turn"), STOP)

    assert [d.state for d in found if isinstance(d, NativeTurn)] == [
        [{"type": "hologram", "light": 1}]
    ]


def test_redacted_thinking_is_an_empty_item_with_its_native_form() -> None:
    block = {"type": "redacted_thinking", "data": "Eg=="}

    found = decoded(START, *block_of(0, block), end("end_turn"), STOP)

    native = NativeTurn("anthropic:claude-sonnet-4-5", [block])
    assert [d for d in found if not isinstance(d, UsageReported | UpstreamInfo)] == [
        ReasoningDelta(""),
        ItemFinished(native=native),
        native,
        Stopped(),
    ]


def test_call_cut_off_by_the_limit_is_not_in_the_native_turn() -> None:
    thinking = {"type": "thinking", "thinking": "", "signature": "sig"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    cut_off = {"type": "input_json_delta", "partial_json": '{"a": "b'}

    found = decoded(
        START, *block_of(0, thinking), *block_of(1, call, cut_off), end("max_tokens"), STOP
    )

    assert [d.state for d in found if isinstance(d, NativeTurn)] == [[thinking]]


def test_call_whose_id_will_be_replaced_leaves_no_native_turn() -> None:
    thinking = {"type": "thinking", "thinking": "", "signature": "sig"}
    call = {"type": "tool_use", "id": "", "name": "f", "input": {}}

    found = decoded(START, *block_of(0, thinking), *block_of(1, call), end("tool_use"), STOP)

    assert not any(map(is_native, found))


def test_arguments_that_come_with_the_start_of_a_call_are_not_lost() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}

    found = decoded(START, *block_of(0, call), end("tool_use"), STOP)

    assert found[2:5] == [
        ToolCallStarted(0, "f", "toolu_1"),
        ToolCallDelta(0, '{"a":1}'),
        ItemFinished(0),
    ]


def test_surrogate_pair_split_over_two_deltas_is_joined_and_a_lone_half_replaced() -> None:
    text = {"type": "text", "text": ""}
    raw = [
        b'{"type":"text_delta","text":"a\\ud83d"}',
        b'{"type":"text_delta","text":"\\ude00b\\ud83d"}',
        b'{"type":"text_delta","text":"c\\ud83d"}',
    ]
    decoder = ADAPTER.decoder(TURN)
    events = [
        *sse(START, block_of(0, text)[0]),
        *(
            ServerSentEvent(None, b'{"type":"content_block_delta","index":0,"delta":' + r + b"}")
            for r in raw
        ),
        *sse(block_of(0, text)[1], end("end_turn"), STOP),
    ]

    found = [d for event in events for d in decoder.feed(event)]

    said = "".join(d.text for d in found if isinstance(d, TextDelta))
    assert said == "a\U0001f600b\ufffdc\ufffd"


@pytest.mark.parametrize(
    "events",
    [
        [STOP],
        [START, {"type": "content_block_delta", "index": 4, "delta": {"type": "text_delta"}}],
        [START, {"type": "content_block_start", "index": 0, "content_block": None}],
        [START, {"no": "type"}],
        [START, block_of(0, {"type": "text", "text": ""})[0]] * 2,
        [START],
        [],
    ],
)
def test_broken_stream_is_the_upstreams_error(events: list[dict[str, Any]]) -> None:
    with pytest.raises(UpstreamProtocolError):
        decoded(*events)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"type":"message"}'])
def test_whole_answer_that_is_no_message_is_the_upstreams_error(body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        list(ADAPTER.decode(body, TURN))


def test_citation_offsets_count_from_the_start_of_their_message() -> None:
    cited = {
        "type": "web_search_result_location",
        "url": "https://example.org/",
        "title": None,
        "cited_text": "x",
        "encrypted_index": "e",
    }
    local = {"type": "page_location", "cited_text": "y", "document_index": 0}
    found = decoded(
        START,
        *block_of(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Before"}),
        *block_of(1, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}),
        *block_of(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "It is "}),
        *block_of(
            3,
            {"type": "text", "text": "", "citations": []},
            {"type": "citations_delta", "citation": cited},
            {"type": "citations_delta", "citation": local},
            {"type": "text_delta", "text": "\U0001f600 sunny"},
        ),
        end("end_turn"),
        STOP,
    )

    assert [d.annotation for d in found if isinstance(d, AnnotationAdded)] == [
        {
            "type": "url_citation",
            "start_index": 6,
            "end_index": 13,
            "url": "https://example.org/",
            "title": "",
        }
    ]


def test_failed_search_is_a_failed_call() -> None:
    call = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "q"}}
    error = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    result = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": error}

    found = decoded(START, *block_of(0, call), *block_of(1, result), end("end_turn"), STOP)

    assert [d.item["status"] for d in found if isinstance(d, OutputItem)] == ["failed"]


def test_turn_that_pauses_is_given_back_as_items_only() -> None:
    call = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "q"}}

    found = decoded(START, *block_of(0, call), end("pause_turn"), STOP)

    assert not any(map(is_native, found))


SCHEMA = {
    "type": "json_schema",
    "name": "city",
    "schema": {"type": "object", "properties": {"name": {"type": "string"}}},
}
EMULATED = Turn(model="claude-sonnet-4-0", spans=(), text_format=SCHEMA)


def test_answer_tool_is_read_as_the_text_of_the_answer() -> None:
    thinking = {"type": "thinking", "thinking": "", "signature": "sig"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "city", "input": {}}
    pieces = [{"type": "input_json_delta", "partial_json": p} for p in ("", '{"name"', ':"Bonn"}')]

    found = decoded(
        START, *block_of(0, thinking), *block_of(1, call, *pieces), end("tool_use"), STOP,
        turn=EMULATED,
    )  # fmt: skip

    assert "".join(d.text for d in found if isinstance(d, TextDelta)) == '{"name":"Bonn"}'
    assert not any(isinstance(d, ToolCallStarted) for d in found)
    assert [d.state for d in found if isinstance(d, NativeTurn)] == [
        [thinking, {"type": "text", "text": '{"name":"Bonn"}'}]
    ]


def test_answer_tool_of_a_whole_answer_is_read_as_the_same_text() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "city", "input": {"name": "Bonn"}}
    message = {**START["message"], "content": [call], "stop_reason": "tool_use"}

    found = list(ADAPTER.decode(json.dumps(message).encode(), EMULATED))

    assert [d for d in found if isinstance(d, TextDelta)] == [TextDelta('{"name":"Bonn"}')]
