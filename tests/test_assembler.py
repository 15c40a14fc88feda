"""The one place that counts: events in legal order, whatever the deltas."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    ItemFinished,
    MessageStarted,
    NativeTurn,
    OutputItem,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
    UsageReported,
)
from responses_mw.envelope import response_body
from responses_mw.errors import UpstreamProtocolError, UpstreamTimeout
from responses_mw.replay import replay
from responses_mw.schema import CreateRequest
from responses_mw.testing import check_event_order

HEX = "0123456789abcdef" * 2
CITATION = {
    "type": "url_citation",
    "url": "https://x",
    "title": "X",
    "start_index": 0,
    "end_index": 1,
}


def assembler(**options: Any) -> ResponseAssembler:
    request = CreateRequest.of({"model": "m", "input": "hi"})
    body = response_body(request, id=f"resp_{HEX}", created_at=1, model="m")
    return ResponseAssembler(body, now=lambda: 7.9, **options)


def assemble(*deltas: Delta, **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The events, as they stand on the wire, and the response."""
    it = assembler(**options)
    events = [orjson.loads(orjson.dumps(event)) for event in it.start()]
    for delta in deltas:
        events += [orjson.loads(orjson.dumps(event)) for event in it.feed(delta)]
        assert it.response["output"] == it.output
    events += it.finish()
    check_event_order(events)
    assert events[-1]["response"] == it.response
    return events, it.response


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_a_text_answer() -> None:
    events, response = assemble(
        UpstreamInfo(), TextDelta("Hel"), TextDelta("lo"), UsageReported(3, 2), Stopped()
    )
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    (message,) = response["output"]
    assert message["id"] == f"msg_{HEX}_0"
    assert message["content"][0]["text"] == "Hello"
    assert response["completed_at"] == 7
    assert response["usage"]["total_tokens"] == 5


def test_every_kind_of_item_in_one_answer() -> None:
    _, response = assemble(
        ReasoningDelta("hmm"),
        ReasoningDelta(" so"),
        TextDelta("See "),
        AnnotationAdded(CITATION),
        TextDelta("this"),
        RefusalDelta("but not that"),
        ToolCallStarted("a", "f", "call_a"),
        ToolCallDelta("a", '{"x":'),
        ToolCallStarted("b", "g"),
        ToolCallDelta("b", "{}"),
        ToolCallDelta("a", "1}"),
        OutputItem({"type": "web_search_call", "id": "theirs", "action": {"type": "search"}}),
        TextDelta("after"),
        UsageReported(1, 1),
        Stopped(),
    )
    types = [item["type"] for item in response["output"]]
    assert types == [
        "reasoning", "message", "function_call", "function_call", "web_search_call", "message",
    ]  # fmt: skip
    reasoning, message, a, b, search, _last = response["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "hmm so"}]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert message["content"][0]["annotations"] == [CITATION]
    assert (a["call_id"], a["arguments"]) == ("call_a", '{"x":1}')
    assert b["call_id"] == f"call_{HEX}_3"
    assert search["id"] == f"ws_{HEX}_4"
    assert len({item["id"] for item in response["output"]}) == 6


def test_arguments_that_never_came_are_an_empty_object() -> None:
    events, response = assemble(ToolCallStarted(0, "now", "c"), ItemFinished(0), Stopped())
    assert response["output"][0]["arguments"] == "{}"
    assert kinds(events).count("function_call_arguments.delta") == 1


@pytest.mark.parametrize("finished", [True, False])
def test_running_out_of_tokens_leaves_the_last_item_incomplete(finished: bool) -> None:
    # A provider may close its block before it says why it stopped.
    closing = [ItemFinished()] if finished else []
    _, response = assemble(
        ReasoningDelta("a"), TextDelta("b"), *closing, Stopped("max_output_tokens")
    )
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert response["completed_at"] is None


def test_a_finished_item_is_followed_by_a_new_one_of_its_kind() -> None:
    _, response = assemble(TextDelta("one"), ItemFinished(), TextDelta("two"), Stopped())
    assert [item["content"][0]["text"] for item in response["output"]] == ["one", "two"]


def test_a_phase_is_shown_and_an_empty_message_has_a_part() -> None:
    _, response = assemble(MessageStarted("commentary"), MessageStarted(), Stopped())
    first, second = response["output"]
    assert (first["phase"], first["content"][0]["text"]) == ("commentary", "")
    assert "phase" not in second


@pytest.mark.parametrize("raw_reasoning", [None, "openai", "openresponses"])
def test_raw_reasoning_goes_by_the_names_that_were_chosen(raw_reasoning: Any) -> None:
    events, response = assemble(
        ReasoningDelta("chain", raw=True),
        ReasoningDelta("sum"),
        Stopped(),
        raw_reasoning=raw_reasoning,
    )
    stem = {
        None: "reasoning_summary_text.delta",
        "openai": "reasoning_text.delta",
        "openresponses": "reasoning.delta",
    }
    assert stem[raw_reasoning] in kinds(events)
    (item,) = response["output"]
    expected = {"summary": [{"type": "summary_text", "text": "chainsum"}]}
    if raw_reasoning is not None:
        expected = {
            "summary": [{"type": "summary_text", "text": "sum"}],
            "content": [{"type": "reasoning_text", "text": "chain"}],
        }
    assert {key: item[key] for key in ("summary", "content") if key in item} == expected


def test_failing_keeps_what_was_written() -> None:
    it = assembler()
    events = [*it.start(), *it.feed(TextDelta("half a "))]
    events += it.fail(UpstreamTimeout("x said nothing for 5 s"))
    check_event_order(events)
    assert kinds(events)[-1] == "failed"
    assert it.response["error"] == {
        "code": "upstream_timeout",
        "message": "x said nothing for 5 s",
    }
    assert it.output[0]["status"] == "incomplete"
    assert it.output[0]["content"][0]["text"] == "half a "


def test_an_end_that_was_not_kept_says_failed_in_its_place() -> None:
    it = assembler()
    events = [*it.start(), *it.feed(TextDelta("done")), *it.finish()]
    revoked = it.revoke(UpstreamTimeout("the store failed"))
    events[-1] = revoked
    check_event_order(events)
    assert revoked["response"]["status"] == "failed"
    assert revoked["response"]["completed_at"] is None


def test_a_second_end_is_a_bug() -> None:
    it = assembler()
    it.finish()
    with pytest.raises(RuntimeError, match="already ended"):
        it.finish()


@pytest.mark.parametrize(
    "deltas",
    [
        [ToolCallDelta(0, "{}")],
        [ToolCallStarted(0, "f"), ToolCallStarted(0, "g")],
        [ToolCallStarted(0, "f"), TextDelta("x"), ToolCallDelta(0, "{}")],
    ],
    ids=["unknown", "twice", "closed"],
)
def test_calls_that_make_no_sense_are_the_upstreams_error(deltas: list[Delta]) -> None:
    with pytest.raises(UpstreamProtocolError, match="tool call 0"):
        assemble(*deltas)


def test_a_tool_that_tool_choice_forbids_cannot_be_called() -> None:
    it = assembler(callable_tools={"allowed"})
    it.feed(ToolCallStarted(0, "allowed"))
    with pytest.raises(UpstreamProtocolError, match=r"'other'.*allowed: allowed"):
        it.feed(ToolCallStarted(1, "other"))


def test_lone_surrogates_become_replacement_characters() -> None:
    _, response = assemble(TextDelta("a\ud83d"), TextDelta("\U0001f600"), Stopped())
    assert response["output"][0]["content"][0]["text"] == "a\ufffd\U0001f600"


def seal(native: NativeTurn | None, items: Any) -> str:
    return f"{None if native is None else native.state}/{len(items)}"


def test_each_reasoning_item_is_sealed_when_asked_for() -> None:
    one, two = NativeTurn("s", 1), NativeTurn("s", 2)
    _, response = assemble(
        ReasoningDelta("a"),
        ItemFinished(native=one),
        ReasoningDelta(""),
        ItemFinished(native=two),
        TextDelta("x"),
        NativeTurn("s", "whole"),
        Stopped(),
        seal=seal,
    )
    sealed = [item.get("encrypted_content") for item in response["output"]]
    assert sealed == ["1/1", "2/1", None]
    assert response["output"][1]["summary"] == []


def test_a_native_turn_without_reasoning_is_sealed_at_the_end() -> None:
    _, response = assemble(
        ToolCallStarted(0, "f", "c"), NativeTurn("s", "whole"), Stopped(), seal=seal
    )
    assert [item["type"] for item in response["output"]] == ["function_call", "reasoning"]
    assert response["output"][1]["encrypted_content"] == "whole/1"


def test_reasoning_without_a_native_form_is_sealed_all_the_same() -> None:
    _, response = assemble(ReasoningDelta("a"), TextDelta("x"), Stopped(), seal=seal)
    assert response["output"][0]["encrypted_content"] == "None/1"


def test_nothing_is_sealed_unless_asked_for() -> None:
    _, response = assemble(
        ReasoningDelta("a"), ItemFinished(native=NativeTurn("s", 1)), NativeTurn("s", 2), Stopped()
    )
    assert "encrypted_content" not in response["output"][0]


def test_queued_responses_say_so() -> None:
    it = assembler()
    events = [*it.start("queued"), *it.finish()]
    check_event_order(events)
    assert kinds(events)[:3] == ["created", "queued", "in_progress"]
    assert events[0]["response"]["status"] == "queued"


TEXT = st.text(alphabet=st.characters(), max_size=3)
KEYS = st.sampled_from([0, 1, "a"])
DELTAS = st.lists(
    st.one_of(
        st.builds(TextDelta, TEXT),
        st.builds(RefusalDelta, TEXT),
        st.builds(ReasoningDelta, TEXT, st.booleans()),
        st.builds(ToolCallStarted, KEYS, st.just("f"), st.none() | TEXT),
        st.builds(ToolCallDelta, KEYS, TEXT),
        st.builds(ItemFinished, st.none() | KEYS, st.none() | st.just(NativeTurn("s", 1))),
        st.builds(MessageStarted, st.none() | st.just("commentary")),
        st.just(AnnotationAdded(CITATION)),
        st.just(OutputItem({"type": "web_search_call"})),
        st.builds(UsageReported, st.integers(0, 9), st.integers(0, 9)),
        st.builds(Stopped, st.sampled_from(["stop", "max_output_tokens", "content_filter"])),
    ),
    max_size=12,
)


@given(
    deltas=DELTAS,
    raw=st.sampled_from([None, "openai", "openresponses"]),
    sealed=st.booleans(),
)
def test_any_deltas_at_all_end_in_one_legal_stream(
    deltas: list[Delta], raw: Any, sealed: bool
) -> None:
    it = assembler(raw_reasoning=raw, seal=seal if sealed else None)
    events = it.start()
    try:
        for delta in deltas:
            events += it.feed(delta)
        events += it.finish()
    except UpstreamProtocolError as error:
        events += it.fail(error)
    check_event_order(orjson.loads(orjson.dumps(events)))


@given(
    deltas=DELTAS,
    raw=st.sampled_from([None, "openai", "openresponses"]),
    sealed=st.booleans(),
    queued=st.booleans(),
    end=st.sampled_from(["finish", "fail", "cancel", "run"]),
)
def test_any_stream_can_be_told_again(
    deltas: list[Delta], raw: Any, sealed: bool, queued: bool, end: str
) -> None:
    it = assembler(raw_reasoning=raw, seal=seal if sealed else None)
    events = it.start("queued" if queued else "in_progress")
    try:
        for delta in deltas:
            events += it.feed(delta)
        if end == "finish":
            events += it.finish()
        elif end == "cancel":
            events += it.cancel()
        elif end == "fail":
            raise UpstreamProtocolError("it broke")
    except UpstreamProtocolError as error:
        events += it.fail(error)
    stored = orjson.loads(orjson.dumps([it.envelope, it.output, it.cuts]))
    told = replay(*stored)
    assert orjson.loads(orjson.dumps(told)) == orjson.loads(orjson.dumps(events))


def test_an_answer_that_was_never_streamed_can_be_told_as_a_stream() -> None:
    _, response = assemble(
        ReasoningDelta("hmm"),
        TextDelta("See", [{"token": "See", "logprob": -1.0, "bytes": [], "top_logprobs": []}]),
        AnnotationAdded(CITATION),
        RefusalDelta("no"),
        ToolCallStarted("a", "f", "call_a"),
        ToolCallDelta("a", "{}"),
        OutputItem({"type": "web_search_call"}),
        UsageReported(1, 1),
        Stopped(),
    )
    body = {key: value for key, value in response.items() if key != "output"}
    events = replay(body, response["output"], None)
    check_event_order(events)
    assert events[-1]["response"] == response
