"""check_event_order accepts what real servers send, and names the rule that a stream breaks."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from cases import Recording, needs_recordings, recorded

from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    ItemFinished,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from responses_mw.errors import UpstreamUnavailable
from responses_mw.sse import SSEParser
from responses_mw.testing import check_event_order
from responses_mw.testing.play import created

Events = list[dict[str, Any]]

EVERYTHING: tuple[Delta, ...] = (
    ReasoningDelta("I think"),
    ReasoningDelta(" so."),
    TextDelta("See "),
    TextDelta("this."),
    AnnotationAdded({"type": "url_citation", "url": "https://example.com", "title": "Example"}),
    RefusalDelta("No."),
    ToolCallStarted("a", "get_weather", "call_a"),
    ToolCallStarted("b", "get_time", "call_b"),
    ToolCallDelta("b", "{}"),
    ToolCallDelta("a", '{"x":'),
    ToolCallDelta("a", "1}"),
    ItemFinished("a"),
)


def assembled(*deltas: Delta, stopped: Stopped | None = None) -> Events:
    assembler = ResponseAssembler(created())
    events = assembler.start()
    for delta in (*deltas, *([stopped] if stopped else [])):
        events += assembler.feed(delta)
    return copy.deepcopy(events + assembler.finish())


def failed(*deltas: Delta) -> Events:
    assembler = ResponseAssembler(created())
    events = assembler.start()
    for delta in deltas:
        events += assembler.feed(delta)
    return copy.deepcopy(events + assembler.fail(UpstreamUnavailable("the connection broke")))


@pytest.mark.parametrize(
    "events",
    [
        assembled(),
        assembled(*EVERYTHING),
        assembled(TextDelta("Cut"), stopped=Stopped("max_output_tokens")),
        failed(),
        failed(*EVERYTHING),
        failed(ToolCallStarted("a", "f"), ToolCallDelta("a", "{")),
    ],
    ids=["empty", "everything", "cut", "failed at once", "failed late", "failed in a call"],
)
def test_what_the_assembler_says_is_in_order(events: Events) -> None:
    check_event_order(events)


def test_an_error_event_and_then_failed_is_in_order() -> None:
    events = failed(TextDelta("Hello"))
    last = events.pop()
    error = {"type": "server_error", "code": None, "message": "It broke.", "param": None}
    events.append({"type": "error", "sequence_number": len(events), "error": error})
    check_event_order([*events, {**last, "sequence_number": len(events)}])


def test_events_of_the_official_client_are_taken_as_well() -> None:
    from openai._models import construct_type
    from openai.types.responses import ResponseStreamEvent

    check_event_order(
        construct_type(type_=ResponseStreamEvent, value=event) for event in assembled(*EVERYTHING)
    )


# --- what is refused: a change to a good stream, and the rule that it must name


def first(events: Events, kind: str) -> dict[str, Any]:
    return next(event for event in events if event["type"] == kind)


def drop(kind: str) -> Callable[[Events], None]:
    def change(events: Events) -> None:
        events.remove(first(events, kind))
        renumber(events)

    return change


def set_in(kind: str, *path: str, to: Any) -> Callable[[Events], None]:
    def change(events: Events) -> None:
        target = first(events, kind)
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = to

    return change


def twice(kind: str) -> Callable[[Events], None]:
    def change(events: Events) -> None:
        at = events.index(first(events, kind))
        events.insert(at, copy.deepcopy(events[at]))
        renumber(events)

    return change


def swap(kind: str, other: str) -> Callable[[Events], None]:
    def change(events: Events) -> None:
        one, two = events.index(first(events, kind)), events.index(first(events, other))
        events[one], events[two] = events[two], events[one]
        renumber(events)

    return change


def renumber(events: Events) -> None:
    for number, event in enumerate(events):
        event["sequence_number"] = number


WRONG: list[tuple[Callable[[Events], None], str]] = [
    (lambda events: events.clear(), "ends with a terminal event"),
    (drop("response.created"), "after nothing comes response.created"),
    (drop("response.in_progress"), "after response.created comes"),
    (drop("response.completed"), "ends with a terminal event"),
    (twice("response.completed"), "nothing follows the terminal event"),
    (twice("response.created"), "after response.created comes"),
    (set_in("response.output_text.delta", "sequence_number", to=77), "sequence_number"),
    (set_in("response.created", "response", "output", to=[{}]), "output is empty until the end"),
    (set_in("response.created", "response", "usage", to={}), "usage is null until the end"),
    (set_in("response.created", "response", "status", to="completed"), "the status is"),
    (set_in("response.in_progress", "response", "id", to="resp_x"), "id never changes"),
    (set_in("response.completed", "response", "model", to="other"), "model never changes"),
    (set_in("response.completed", "response", "status", to="failed"), "the status is completed"),
    (set_in("response.completed", "response", "completed_at", to=None), "completed_at is set"),
    (set_in("response.completed", "response", "error", to={"code": "x"}), "error is null"),
    (set_in("response.completed", "response", "output", to=[]), "output holds the items"),
    (drop("response.output_item.added"), "never added"),
    (drop("response.output_item.done"), "never closed"),
    (twice("response.output_item.done"), "follows its output_item.done"),
    (set_in("response.output_item.added", "output_index", to=1), "output_index counts up"),
    (set_in("response.output_item.added", "item", "id", to=""), "an id of its own"),
    (set_in("response.output_item.done", "item", "id", to="rs_x"), "id never changes"),
    (set_in("response.output_item.done", "item", "type", to="message"), "type never changes"),
    (set_in("response.output_item.done", "item", "summary", to=[]), "summary is the parts"),
    (set_in("response.output_text.delta", "item_id", to="msg_x"), "item_id is the id"),
    (set_in("response.output_text.delta", "output_index", to=9), "output_index 9 was never added"),
    (set_in("response.output_text.delta", "content_index", to=3), "content_index 3 was never"),
    (set_in("response.output_text.delta", "delta", to="Sea"), "the sum of its deltas"),
    (set_in("response.output_text.delta", "delta", to=None), "a delta is a string"),
    (drop("response.content_part.added"), "content_index 0 was never added"),
    (drop("response.content_part.done"), "one part is closed before the next"),
    (drop("response.output_text.done"), "text is done before the part"),
    (drop("response.reasoning_summary_part.done"), "parts are closed first"),
    (drop("response.reasoning_summary_text.done"), "text is done before the part"),
    (drop("response.function_call_arguments.done"), "comes before output_item.done"),
    (drop("response.output_text.annotation.added"), "a part repeats its 0 annotations"),
    (
        swap("response.output_text.annotation.added", "response.output_text.done"),
        "annotations come before the text is done",
    ),
    (
        set_in("response.output_text.annotation.added", "annotation_index", to=1),
        "annotation_index counts up",
    ),
    (set_in("response.content_part.added", "part", "text", to="See"), "empty when it is added"),
    (set_in("response.content_part.done", "part", "text", to="See"), "a part repeats its text"),
    (set_in("response.content_part.done", "part", "type", to="refusal"), "keeps its type"),
    (twice("response.content_part.done"), "follows its part.done"),
    (twice("response.output_text.done"), "nothing is said after the text was done"),
    (
        set_in("response.function_call_arguments.done", "arguments", to="{}{}"),
        "arguments is the sum of its deltas",
    ),
    (set_in("response.output_text.delta", "type", to="response.refusal.delta"), "of type refusal"),
    (set_in("response.output_text.delta", "type", to="response.mcp_call.failed"), "no such event"),
]


@pytest.mark.parametrize(("spoil", "rule"), WRONG, ids=[rule for _, rule in WRONG])
def test_a_broken_rule_is_named(spoil: Callable[[Events], None], rule: str) -> None:
    events = assembled(*EVERYTHING)
    spoil(events)
    with pytest.raises(AssertionError) as refused:
        check_event_order(events)
    assert rule in str(refused.value)


def test_an_incomplete_item_needs_an_incomplete_response() -> None:
    events = assembled(TextDelta("Cut"))
    for event in (first(events, "response.output_item.done"), events[-1]):
        item = event.get("item") or event["response"]["output"][0]
        item["status"] = "incomplete"
    with pytest.raises(AssertionError, match="incomplete in a completed response"):
        check_event_order(events)


def test_only_the_last_item_may_be_incomplete() -> None:
    deltas = (ReasoningDelta("Hm."), TextDelta("Cut"))
    events = assembled(*deltas, stopped=Stopped("max_output_tokens"))
    for event in (first(events, "response.output_item.done"), events[-1]):
        item = event.get("item") or event["response"]["output"][0]
        item["status"] = "incomplete"
    with pytest.raises(AssertionError, match="only the last item may be incomplete"):
        check_event_order(events)


def test_the_message_names_the_event() -> None:
    events = assembled(TextDelta("Hello"))
    events[4]["item_id"] = "msg_other"
    with pytest.raises(AssertionError, match=r"event 4 \(response\.output_text\.delta\)"):
        check_event_order(events)


# --- real streams

# Servers with a dialect of their own, and the rule that each breaks first.
DIALECTS = {
    "bedrock_mantle": "no such event",  # response.reasoning_part.*
    "vllm_responses": "no such event",
    "openrouter_responses": "output[0] is the item",
    "local_llamacpp": "sequence_number",  # sends none
    "local_vllm/responses-length": "the status is completed",
    "lmstudio_responses/fx-lmstudio-tool-call-1": "the sum of its deltas",
    "openai/dd-trace-py-v1-response-function-call-streamed": "sequence_number",
    # fixtures that were shortened, or two streams in one file
    "openai/fx-openai-phase": "sequence_number",
    "openai/fx-openai-shell-tool": "sequence_number",
    "azure/fx-azure-reasoning-encrypted-content": "sequence_number",
    # a program's call is still in progress when its item is done
    "openai/fx-programmatic-tool-calling": "completed or incomplete",
}


def events_of(recording: Recording) -> Events:
    data = [event.data for event in SSEParser().feed(recording.body)]
    return [json.loads(datum) for datum in data if datum != b"[DONE]"]


def response_streams() -> list[Recording]:
    return [
        recording
        for recording in recorded(kind="sse", status=200)
        if b"response.created" in recording.body
    ]


@needs_recordings
@pytest.mark.parametrize("recording", response_streams(), ids=str)
def test_recorded_streams_are_in_order_but_for_known_dialects(recording: Recording) -> None:
    known = next((rule for name, rule in DIALECTS.items() if recording.id.startswith(name)), None)
    if known is None:
        check_event_order(events_of(recording))
    else:
        with pytest.raises(AssertionError) as refused:
            check_event_order(events_of(recording))
        assert known in str(refused.value)
