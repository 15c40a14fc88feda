"""Decoding Messages answers that nobody recorded: errors, cuts, and what is new or broken.

The events follow the API's documentation; error bodies are checked with the official SDK's types.
"""

import json
from typing import Any

import pytest

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.decoding import well_formed
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
from responses_mw.sse import ServerSentEvent
from responses_mw.turn import Turn

ADAPTER = AnthropicMessages()
TURN = Turn(model="claude-sonnet-4-5", spans=())


def is_native(delta: Delta) -> bool:
    return isinstance(delta, NativeTurn)


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


@well_formed("anthropic")
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


def test_thinking_without_a_signature_is_not_given_back() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}, "caller": {"type": "x"}}
    thinking = {"type": "thinking", "thinking": "Hm."}

    found = decoded(START, *block_of(0, thinking), *block_of(1, call), end("tool_use"), STOP)

    assert ItemFinished() in found
    assert [d.state for d in found if isinstance(d, NativeTurn)] == [[call]]


def test_counts_that_are_null_keep_their_value() -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1}
    nulls = {"input_tokens": None, "cache_read_input_tokens": None, "output_tokens_details": None}
    start = {"type": "message_start", "message": {**START["message"], "usage": usage}}

    found = decoded(start, {**end("end_turn"), "usage": {**nulls, "output_tokens": 9}}, STOP)

    assert [d for d in found if isinstance(d, UsageReported)] == [
        UsageReported(12, 1, cached_tokens=7),
        UsageReported(12, 9, cached_tokens=7),
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


def test_answer_cut_off_by_the_limit_is_given_back_as_far_as_it_went() -> None:
    thinking = {"type": "thinking", "thinking": "", "signature": "sig"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "city", "input": {}}
    cut_off = {"type": "input_json_delta", "partial_json": '{"name":"Bo'}

    found = decoded(
        START, *block_of(0, thinking), *block_of(1, call, cut_off), end("max_tokens"), STOP,
        turn=EMULATED,
    )  # fmt: skip

    assert [d.state for d in found if isinstance(d, NativeTurn)] == [
        [thinking, {"type": "text", "text": '{"name":"Bo'}]
    ]


def test_answer_tool_of_a_whole_answer_is_read_as_the_same_text() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "city", "input": {"name": "Bonn"}}
    message = {**START["message"], "content": [call], "stop_reason": "tool_use"}

    found = list(ADAPTER.decode(json.dumps(message).encode(), EMULATED))

    assert [d for d in found if isinstance(d, TextDelta)] == [TextDelta('{"name":"Bonn"}')]
