"""What upstreams that speak Responses do differently, each oddity with the delta it becomes."""

from typing import Any

import orjson
import pytest
from responses_cases import decoded, frames, merged, stream_of

from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.openai_responses_dialects import BEDROCK_MANTLE, LLAMACPP
from responses_mw.deltas import (
    AnnotationAdded,
    Canonical,
    ItemFinished,
    MessageStarted,
    NativeTurn,
    PartFinished,
    ReasoningDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
    UsageReported,
)
from responses_mw.errors import UpstreamError, UpstreamProtocolError, UpstreamRefused
from responses_mw.testing import check_event_order, play_recording
from responses_mw.turn import Turn

USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
TURN = Turn(model="gpt-5", spans=(), stream=True)


def ended(status: str = "completed", *output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "status": status, "output": list(output), "usage": USAGE, **fields}
    return {"type": f"response.{status}", "response": response}


def added(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def text(delta: str, index: int = 0, part: int = 0) -> dict[str, Any]:
    place = {"output_index": index, "content_index": part}
    return {"type": "response.output_text.delta", **place, "delta": delta}


def message(*texts: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": said, "annotations": []} for said in texts]
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": content, **fields}


CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look"}
EMPTY = message()
ENDS = [UpstreamInfo(), UsageReported(5, 7), Stopped()]


def test_two_parts_of_a_message_stay_two() -> None:
    deltas = decoded(added(EMPTY), text("a"), text("b", part=1), done(message("a", "b")), ended())
    assert deltas[:5] == [
        MessageStarted(),
        TextDelta("a"),
        PartFinished(),
        TextDelta("b"),
        ItemFinished(),
    ]


def test_what_a_stream_left_out_is_taken_from_the_finished_item() -> None:
    cited = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2}
    item = message("abc", "d")
    item["content"][0]["annotations"] = [cited]
    deltas = decoded(added(EMPTY), text("a"), done(item), ended())
    assert deltas[1:6] == [
        TextDelta("a"),
        TextDelta("bc"),
        AnnotationAdded(cited),
        PartFinished(),
        TextDelta("d"),
    ]


def test_words_without_an_item_begin_one() -> None:
    deltas = decoded(text("a"), text("b"), ended())
    assert merged(deltas) == [MessageStarted(), TextDelta("ab"), *ENDS]


def test_citations_without_a_place_are_given_one() -> None:
    place = {"output_index": 0, "content_index": 0}
    cited = {"type": "url_citation", "url": "u", "title": None}
    event = {"type": "response.output_text.annotation.added", **place, "annotation": cited}
    deltas = decoded(added(EMPTY), text("a"), event, ended())
    whole = {"type": "url_citation", "url": "u", "title": "", "start_index": 0, "end_index": 0}
    assert AnnotationAdded(whole) in deltas


def test_arguments_that_come_only_at_the_end_are_heard() -> None:
    """LM Studio streams none."""
    told = {"output_index": 0, "arguments": '{"a":1}'}
    deltas = decoded(
        added({**CALL, "arguments": ""}),
        {"type": "response.function_call_arguments.done", **told},
        done({**CALL, "arguments": '{"a":1}'}),
        ended(),
    )
    assert deltas[:3] == [
        ToolCallStarted(0, "look", "call_1"),
        ToolCallDelta(0, '{"a":1}'),
        ItemFinished(0),
    ]


def test_a_call_shown_only_by_the_response_is_not_lost() -> None:
    """vLLM streams a call that was demanded by name as a message."""
    call = {**CALL, "arguments": "{}"}
    deltas = decoded(added(EMPTY), text("{}"), ended("completed", call))
    assert [type(delta) for delta in deltas] == [
        MessageStarted, TextDelta, ItemFinished, ToolCallStarted, ToolCallDelta, ItemFinished,
        UpstreamInfo, UsageReported, Stopped,
    ]  # fmt: skip


def test_fields_of_a_call_that_are_not_ours_are_shown_and_remembered() -> None:
    call = {**CALL, "arguments": "{}", "caller": {"type": "program", "caller_id": "c"}}
    deltas = decoded(added({**call, "arguments": ""}), done(call), ended())
    extra = {"caller": {"type": "program", "caller_id": "c"}}
    assert deltas[0] == ToolCallStarted(0, "look", "call_1", extra)
    [native] = [delta for delta in deltas if isinstance(delta, NativeTurn)]
    assert native.state == {"items": [call]}


def test_reasoning_that_ends_after_the_answer_stays_before_it() -> None:
    """OpenRouter closes it last."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    whole = {**thought, "content": [{"type": "reasoning_text", "text": "hm"}]}
    delta = {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0}
    deltas = decoded(
        added(thought),
        {**delta, "delta": "hm"},
        added(EMPTY, 1),
        text("a", 1),
        done(message("a"), 1),
        done(whole),
        ended(),
    )
    assert deltas[:6] == [
        ReasoningDelta(""),
        ReasoningDelta("hm", raw=True),
        ItemFinished(),
        MessageStarted(),
        TextDelta("a"),
        ItemFinished(),
    ]
    [native] = [d for d in deltas if isinstance(d, NativeTurn)]
    assert [item["type"] for item in native.state["items"]] == ["reasoning", "message"]


def test_hosted_tools_pass_as_they_are_without_their_padding() -> None:
    item = {"type": "mcp_call", "id": "mcp_1", "arguments": "", "name": "n", "server_label": "s"}
    delta = {"type": "response.mcp_call_arguments.delta", "output_index": 0, "item_id": "mcp_1"}
    deltas = decoded(added(item), {**delta, "delta": "{", "obfuscation": "xx"}, done(item), ended())
    assert deltas[:3] == [
        Canonical(added(item), 0),
        Canonical({**delta, "delta": "{"}, 0),
        Canonical(done(item), 0),
    ]


def test_a_message_goes_on_while_a_hosted_tool_works() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "action": {}}
    body = stream_of(
        [
            added(EMPTY),
            text("a"),
            added(search, 1),
            text("b"),
            done(search, 1),
            text("c"),
            done(message("abc")),
            ended("completed", message("abc"), search),
        ]
    )
    events = play_recording(OpenAIResponses(), body, turn=TURN)
    check_event_order(events)
    said, _ = events[-1]["response"]["output"]
    assert said["content"][0]["text"] == "abc"


def test_a_message_that_a_call_interrupts_is_told_as_two() -> None:
    body = stream_of(
        [
            added(EMPTY),
            text("a"),
            added({**CALL, "arguments": ""}, 1),
            text("b"),
            done({**CALL, "arguments": "{}"}, 1),
            done(message("ab")),
            ended(),
        ]
    )
    events = play_recording(OpenAIResponses(), body, turn=TURN)
    check_event_order(events)
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "message"]
    assert [item["content"][0]["text"] for item in output[::2]] == ["a", "b"]


def test_items_and_events_of_the_future_pass_too() -> None:
    item = {"type": "acme:dream", "id": "d_1", "depth": 3}
    events = (
        added(item),
        {"type": "response.dream.deeper", "output_index": 0, "item_id": "d_1", "depth": 4},
        done({**item, "depth": 4}),
        {"type": "acme:notice", "text": "soon"},
        {"type": "keepalive"},
    )
    body = stream_of([*events, ended()])
    shown = play_recording(OpenAIResponses(), body, turn=TURN)
    kinds = [event["type"] for event in shown[2:]]
    assert kinds == [*[str(event["type"]) for event in events[:4]], "response.completed"]
    ours = shown[-1]["response"]["output"][0]["id"]
    assert ours.startswith("item_")
    assert shown[3] == {
        "type": "response.dream.deeper",
        "output_index": 0,
        "item_id": ours,
        "depth": 4,
        "sequence_number": 3,
    }
    assert shown[5] == {"type": "acme:notice", "text": "soon", "sequence_number": 5}


def test_calls_that_bear_the_same_ids_in_every_answer_are_told_apart() -> None:
    def call_id(response_id: str, *, announced: bool = True) -> str | None:
        begun = {"type": "response.created", "response": {"id": response_id}}
        adapter = OpenAIResponses(dialect=BEDROCK_MANTLE)
        item = {**CALL, "call_id": "call_0", "arguments": ""}
        told = [added(item), done(item)] if announced else [done(item)]
        deltas = decoded(begun, *told, ended(), adapter=adapter)
        [started] = [delta for delta in deltas if isinstance(delta, ToolCallStarted)]
        return started.call_id

    assert call_id("a") != call_id("b")
    assert call_id("a") == call_id("a") == call_id("a", announced=False)


@pytest.mark.parametrize(
    ("limit", "reason"), [(7, "max_output_tokens"), (8, "stop"), (None, "stop")]
)
def test_a_silent_limit_shows_in_the_tokens(limit: int | None, reason: str) -> None:
    turn = Turn(model="m", spans=(), max_output_tokens=limit)
    deltas = decoded(text("a"), ended(), adapter=OpenAIResponses(dialect=LLAMACPP), turn=turn)
    assert deltas[-1] == Stopped(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "known"),
    [("max_output_tokens", "max_output_tokens"), ("content_filter", "content_filter"),
     ("steered", "steered"), (None, "max_output_tokens")],
)  # fmt: skip
def test_incomplete_says_why(given: str | None, known: str) -> None:
    deltas = decoded(text("a"), ended("incomplete", incomplete_details={"reason": given}))
    assert deltas[-1] == Stopped(known)  # type: ignore[arg-type]


def test_half_a_surrogate_pair_waits_for_the_other() -> None:
    halves = b"".join(
        b'data: {"type":"response.output_text.delta","output_index":0,"content_index":0,'
        b'"delta":"' + half + b'"}\n\n'
        for half in (b"a\\ud83d", b"\\ude00b")
    )
    decoder = OpenAIResponses().decoder(TURN)
    body = halves + stream_of([ended()])
    deltas = [delta for frame in frames(body) for delta in decoder.feed(frame)]
    assert merged(deltas)[1] == TextDelta("a\U0001f600b")


# --- failures


def failing(*events: dict[str, Any]) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        decoded(text("a"), *events)
    return raised.value


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ({"code": "server_error", "message": "Sorry."}, 500, "server_error"),
        ({"code": "rate_limit_exceeded", "message": "Slow."}, 429, "rate_limit_exceeded"),
        ({"code": "context_length_exceeded", "message": "Long."}, 400, "context_length_exceeded"),
        ({"code": "invalid_prompt", "message": "Bad."}, 400, "invalid_prompt"),
        ({}, 500, "server_error"),
    ],
)
def test_a_failed_response_is_the_error_it_names(
    error: dict[str, str], status: int, code: str
) -> None:
    raised = failing(ended("failed", error=error))
    assert isinstance(raised, UpstreamRefused)
    assert (raised.status, raised.code) == (status, code)


def test_an_error_event_may_be_nested_or_flat() -> None:
    told = {"type": "too_many", "code": "context_length_exceeded", "message": "Too long."}
    nested = failing({"type": "error", "error": {**told, "type": "invalid_request_error"}})
    flat = failing({**told, "type": "error"})
    assert nested.message == flat.message == "Too long."
    assert nested.code == "context_length_exceeded"


def test_tokens_of_a_failed_response_are_counted() -> None:
    body = stream_of([text("a"), ended("failed", error={"code": "server_error", "message": "x"})])
    events = play_recording(OpenAIResponses(), body, turn=TURN)
    check_event_order(events)
    assert events[-1]["response"]["usage"]["output_tokens"] == 7


def test_a_stream_without_an_end_is_the_upstreams_fault() -> None:
    with pytest.raises(UpstreamProtocolError, match=r"without response\.completed"):
        decoded(text("a"))


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_text.delta", "output_index": 0},
        {"type": "response.output_item.added", "output_index": 0},
        {"type": "response.completed"},
        {"type": "response.function_call_arguments.delta", "output_index": 3, "delta": "x"},
        [],
    ],
)
def test_what_has_another_shape_is_the_upstreams_fault(event: Any) -> None:
    with pytest.raises(UpstreamProtocolError):
        decoded(event)


@pytest.mark.parametrize("status", ["in_progress", "queued", "cancelled", None])
def test_a_whole_answer_that_is_no_end_is_the_upstreams_fault(status: str | None) -> None:
    body = orjson.dumps({"object": "response", "id": "r", "status": status, "output": []})
    with pytest.raises(UpstreamProtocolError, match="status"):
        list(OpenAIResponses().decode(body, TURN))


def test_a_whole_error_is_an_error() -> None:
    body = orjson.dumps({"error": {"message": "No.", "type": "invalid_request_error"}})
    with pytest.raises(UpstreamRefused, match="No"):
        list(OpenAIResponses().decode(body, TURN))
