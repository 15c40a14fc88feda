"""Items that are passed through: our ids and numbers, their words, and an end in any case."""

from typing import Any

import pytest

from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import (
    Canonical,
    Delta,
    ItemFinished,
    PartFinished,
    ReasoningDelta,
    TextDelta,
    ToolCallStarted,
)
from responses_mw.errors import ResponsesError
from responses_mw.replay import replay
from responses_mw.testing import check_event_order
from responses_mw.testing.play import created

CUSTOM = {"type": "custom_tool_call", "id": "theirs", "call_id": "c", "name": "n", "input": ""}


def added(item: dict[str, Any], key: int = 4) -> Canonical:
    place = {"output_index": key, "sequence_number": 77}
    return Canonical({"type": "response.output_item.added", **place, "item": item}, key)


def done(item: dict[str, Any], key: int = 4) -> Canonical:
    event = {"type": "response.output_item.done", "output_index": key, "item": item}
    return Canonical(event, key)


def told(step: str, key: int = 4, **fields: Any) -> Canonical:
    event = {"type": f"response.{step}", "output_index": key, "item_id": "theirs", **fields}
    return Canonical(event, key)


def fed(*deltas: Delta) -> tuple[ResponseAssembler, list[dict[str, Any]]]:
    assembler = ResponseAssembler(created(), now=lambda: 1)
    events = assembler.start()
    for delta in deltas:
        events += assembler.feed(delta)
    return assembler, events


def test_events_go_out_under_our_ids_and_numbers() -> None:
    assembler, events = fed(
        TextDelta("a"),
        added(CUSTOM),
        told("custom_tool_call_input.delta", delta="x"),
        told("custom_tool_call_input.done", input="x"),
        done({**CUSTOM, "input": "x"}),
    )
    events += assembler.finish()
    check_event_order(events)
    assert "theirs" not in str(events)
    [_, item] = assembler.output
    assert item == {**CUSTOM, "id": f"ctc_{'0' * 32}_1", "input": "x"}


def test_items_may_overlap() -> None:
    assembler, events = fed(
        added({"type": "mcp_call", "id": "a", "arguments": ""}, 0),
        added({"type": "mcp_list_tools", "id": "b", "tools": []}, 1),
        TextDelta("a"),
        told("mcp_call.in_progress", 0),
        told("mcp_list_tools.in_progress", 1),
        told("mcp_list_tools.completed", 1),
        done({"type": "mcp_list_tools", "id": "b", "tools": []}, 1),
        told("mcp_call.completed", 0),
        done({"type": "mcp_call", "id": "a", "arguments": "", "status": "completed"}, 0),
    )
    check_event_order(events + assembler.finish())


STREAMED = [
    (CUSTOM, "custom_tool_call_input", "input"),
    ({"type": "mcp_call", "arguments": ""}, "mcp_call_arguments", "arguments"),
    ({"type": "code_interpreter_call", "code": ""}, "code_interpreter_call_code", "code"),
    ({"type": "apply_patch_call", "operation": {}}, "apply_patch_call_operation_diff", "diff"),
]


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(("item", "stem", "field"), STREAMED)
def test_an_item_that_is_cut_short_keeps_what_was_said(
    item: dict[str, Any], stem: str, field: str, *, finished: bool
) -> None:
    deltas = [added(item), told(f"{stem}.delta", delta="ab"), told(f"{stem}.delta", delta="c")]
    if finished:
        deltas.append(told(f"{stem}.done", **{field: "abc"}))
    assembler, events = fed(*deltas)
    events += assembler.fail(ResponsesError("The line went dead."))
    check_event_order(events)
    [kept] = assembler.output
    assert kept["status"] == "incomplete"
    if field in item:
        assert kept[field] == "abc"


@pytest.mark.parametrize("kind", ["web_search_call", "image_generation_call"])
def test_what_cannot_be_incomplete_has_failed(kind: str) -> None:
    assembler, events = fed(added({"type": kind}), told(f"{kind}.in_progress"))
    check_event_order(events + assembler.fail(ResponsesError("x")))
    assert assembler.output[0]["status"] == "failed"


def test_only_the_last_item_is_incomplete() -> None:
    assembler, events = fed(
        added({"type": "mcp_call", "arguments": ""}), ToolCallStarted(1, "look")
    )
    check_event_order(events + assembler.fail(ResponsesError("x")))
    assert [item["status"] for item in assembler.output] == ["failed", "incomplete"]


def test_an_item_that_never_ends_is_closed_with_the_response() -> None:
    assembler, events = fed(added({"type": "web_search_call"}))
    events += assembler.finish()
    check_event_order(events)
    assert events[-1]["type"] == "response.completed"


def test_events_about_no_item_pass() -> None:
    _, events = fed(Canonical({"type": "response.notice", "sequence_number": 9, "text": "x"}))
    assert events[2] == {"type": "response.notice", "text": "x", "sequence_number": 2}


def test_events_about_the_open_message_name_it() -> None:
    event = {"type": "response.output_text.mood", "item_id": "theirs", "output_index": 9}
    _, events = fed(TextDelta("a"), Canonical(event))
    assert events[-1]["item_id"] == f"msg_{'0' * 32}_0"
    assert events[-1]["output_index"] == 0


def test_passed_events_are_told_again_as_they_were() -> None:
    assembler, events = fed(
        Canonical({"type": "acme:notice"}),
        ReasoningDelta("a"),
        PartFinished(),
        ReasoningDelta("b"),
        ItemFinished(),
        added(CUSTOM),
        told("custom_tool_call_input.delta", delta="x"),
        TextDelta("said meanwhile"),
        PartFinished(),
        TextDelta("and more"),
        told("custom_tool_call_input.done", input="x"),
        done({**CUSTOM, "input": "x"}),
        ToolCallStarted(0, "look", "c2", {"caller": {"type": "direct"}}),
    )
    events += assembler.finish()
    check_event_order(events)
    assert replay(assembler.envelope, assembler.output, assembler.cuts) == events


@pytest.mark.parametrize("list_name", ["summary", "content"])
def test_parts_of_a_whole_answer_are_told_one_by_one(list_name: str) -> None:
    raw = list_name == "content"
    assembler = ResponseAssembler(created(), raw_reasoning="openai", now=lambda: 1)
    assembler.start()
    for delta in (ReasoningDelta("ab", raw=raw), PartFinished(), ReasoningDelta("c", raw=raw)):
        assembler.feed(delta)
    assembler.finish()
    kept = {**assembler.envelope, "background": False}

    events = replay(kept, assembler.output, None if not raw else assembler.cuts)

    check_event_order(events)
    texts = [event["text"] for event in events if event["type"].endswith("text.done")]
    assert texts == ["ab", "c"]
