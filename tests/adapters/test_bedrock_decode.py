"""Converse answers that were never recorded: typed by AWS's service model, framed as AWS frames.

Pictures, grounded answers, calls and what AWS runs itself.
"""

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest
from bedrock_cases import ANSWERS as RECORDED
from bedrock_cases import converse, deltas_of, recorded_deltas, turn_of
from bedrock_heard import (
    ADAPTER,
    CLAUDE,
    SCOPE,
    USAGE,
    heard,
    said,
)
from bedrock_stream import BEGIN, METADATA, delta, end, start, stop, stream
from bedrock_turns import NOVA, NOVA_2
from cases import Recording

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
)
from responses_mw.sse import ServerSentEvent
from responses_mw.turn import Turn

# --- whole and streamed are the same


def merged(deltas: Iterable[Delta]) -> list[Any]:
    """What the deltas come to: pieces joined, arguments as values."""
    found: list[Any] = []
    for one in deltas:
        match one, found[-1] if found else None:
            case TextDelta(text), ["text", before]:
                found[-1] = ["text", before + text]
            case TextDelta(text), _:
                found.append(["text", text])
            case ReasoningDelta(text), ["reasoning", before]:
                found[-1] = ["reasoning", before + text]
            case ReasoningDelta(text), _:
                found.append(["reasoning", text])
            case ToolCallDelta(_, text), ["arguments", before]:
                found[-1] = ["arguments", before + text]
            case ToolCallDelta(_, text), _:
                found.append(["arguments", text])
            case _:
                found.append(one)
    return [["arguments", json.loads(e[1])] if _is_arguments(e) else e for e in found]


def _is_arguments(entry: Any) -> bool:
    return isinstance(entry, list) and entry[0] == "arguments"


def streamed_from(answer: dict[str, Any], size: int = 5) -> bytes:
    """The stream that such an answer is told in, by AWS's service model; in pieces of `size`."""
    events = [BEGIN]
    for n, block in enumerate(answer["output"]["message"]["content"]):
        events += [*pieces(n, block, size), stop(n)]
    events.append(("messageStop", {"stopReason": answer["stopReason"]}))
    rest = {k: v for k, v in answer.items() if k not in ("output", "stopReason")}
    return stream(*events, ("metadata", rest))


def pieces(n: int, block: dict[str, Any], size: int) -> list[tuple[str, Any]]:
    match block:
        case {"text": text}:
            return [delta(n, text=piece) for piece in cut(text, size)]
        case {"citationsContent": {"content": content, "citations": citations}}:
            cited = [delta(n, citation=citation) for citation in citations]
            return [*cited, *(delta(n, text=p) for c in content for p in cut(c["text"], size))]
        case {"reasoningContent": {"reasoningText": thought}}:
            texts = [delta(n, reasoningContent={"text": p}) for p in cut(thought["text"], size)]
            return [*texts, delta(n, reasoningContent={"signature": thought["signature"]})]
        case {"reasoningContent": redacted}:
            return [delta(n, reasoningContent=redacted)]
        case {"toolUse": use}:
            opening = start(n, toolUse={k: v for k, v in use.items() if k != "input"})
            arguments = json.dumps(use["input"])
            return [opening, *(delta(n, toolUse={"input": p}) for p in cut(arguments, size))]
        case {"toolResult": result}:
            opening = start(n, toolResult={k: v for k, v in result.items() if k != "content"})
            return [opening, delta(n, toolResult=result["content"])]
    raise AssertionError(block)


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


WHOLE = [r for r in converse(RECORDED) if not r.streamed]


@pytest.mark.parametrize("recording", WHOLE, ids=str)
def test_a_whole_answer_is_the_same_when_it_is_streamed(recording: Recording) -> None:
    body = streamed_from(json.loads(recording.body))
    streamed = deltas_of(ADAPTER, body, streamed=True, turn=turn_of(recording))
    assert merged(streamed) == merged(recorded_deltas(recording))


# --- text, citations, reasoning


def test_text_blocks_in_a_row_are_one_part_and_their_citations_mark_their_place() -> None:
    citation = {"title": "Ruby", "location": {"web": {"url": "https://ruby-lang.org"}}}
    document = {"title": "facts", "location": {"documentChar": {"documentIndex": 0}}}
    cited = {
        "citationsContent": {"content": [{"text": "Ruby."}], "citations": [citation, document]}
    }
    found = said({"text": "It is "}, cited, {"text": " So."}, turn=Turn(model=NOVA, spans=()))
    assert found == [
        TextDelta("It is "),
        TextDelta("Ruby."),
        AnnotationAdded(
            {
                "type": "url_citation",
                "start_index": 6,
                "end_index": 11,
                "url": "https://ruby-lang.org",
                "title": "Ruby",
            }
        ),
        TextDelta(" So."),
        USAGE,
        NativeTurn("bedrock:amazon.nova-pro-v1:0", [{"text": "It is "}, cited, {"text": " So."}]),
        Stopped(),
    ]


def test_a_pair_of_surrogates_split_over_two_deltas_is_joined_and_a_lone_half_replaced() -> None:
    decoder = ADAPTER.decoder(CLAUDE)
    found: list[Delta] = []
    for half in (r"\ud83d", r"\ude00", r"\ud83d"):
        payload = b'{"contentBlockIndex": 0, "delta": {"text": "%s"}}' % half.encode()
        found += decoder.feed(ServerSentEvent("contentBlockDelta", payload))
    found += decoder.feed(ServerSentEvent("contentBlockStop", b'{"contentBlockIndex": 0}'))
    assert found == [TextDelta("\U0001f600"), TextDelta("\ufffd")]


def test_unsigned_reasoning_is_shown_and_not_given_back() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}
    assert said(thought, {"text": "So."}) == [
        ReasoningDelta(""),
        ReasoningDelta("Hm."),
        ItemFinished(),
        TextDelta("So."),
        USAGE,
        Stopped(),
    ]


def test_unsigned_reasoning_is_given_back_to_deepseek_r1() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}
    turn = Turn(model="us.deepseek.r1-v1:0", spans=())
    (native,) = [d for d in said(thought, {"text": "So."}, turn=turn) if isinstance(d, NativeTurn)]
    assert native == NativeTurn("bedrock:deepseek.r1-v1:0", [thought, {"text": "So."}])


def test_redacted_reasoning_in_pieces_is_joined_by_its_bytes() -> None:
    one, two = (base64.b64encode(part).decode() for part in (b"half", b"way"))
    found = heard(
        BEGIN,
        delta(0, reasoningContent={"redactedContent": one}),
        delta(0, reasoningContent={"redactedContent": two}),
        stop(0),
        end(),
        METADATA,
    )
    whole = {"reasoningContent": {"redactedContent": base64.b64encode(b"halfway").decode()}}
    assert ItemFinished(native=NativeTurn(SCOPE, [whole])) in found


def test_reasoning_and_text_under_one_index_are_two_blocks() -> None:
    found = heard(
        BEGIN,
        delta(0, reasoningContent={"text": "Hm."}),
        delta(0, text="So."),
        stop(0),
        end(),
        METADATA,
    )
    assert found[:4] == [
        ReasoningDelta(""),
        ReasoningDelta("Hm."),
        ItemFinished(),
        TextDelta("So."),
    ]


def test_a_start_that_says_nothing_is_that_of_text() -> None:
    found = heard(
        BEGIN,
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {}}),
        delta(0, text="So."),
        delta(0),
        stop(0),
        end(),
        METADATA,
    )
    assert found == [TextDelta("So."), USAGE, Stopped()]


# --- calls


def test_parallel_calls_keep_their_arguments_apart() -> None:
    found = heard(
        BEGIN,
        start(0, toolUse={"toolUseId": "a", "name": "x"}),
        delta(0, toolUse={"input": '{"n":'}),
        start(1, toolUse={"toolUseId": "b", "name": "y"}),
        delta(1, toolUse={"input": "{}"}),
        delta(0, toolUse={"input": "1}"}),
        stop(0),
        stop(1),
        end("tool_use"),
        METADATA,
    )
    assert found == [
        ToolCallStarted(0, "x", "a"),
        ToolCallDelta(0, '{"n":'),
        ToolCallStarted(1, "y", "b"),
        ToolCallDelta(1, "{}"),
        ToolCallDelta(0, "1}"),
        ItemFinished(0),
        ItemFinished(1),
        USAGE,
        Stopped(),
    ]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    found = heard(
        BEGIN, start(0, toolUse={"toolUseId": "a", "name": "x"}), stop(0), end(), METADATA
    )
    assert found[1] == ToolCallDelta(0, "{}")


def test_a_call_that_was_cut_off_is_not_given_back() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}}
    use = {"toolUse": {"toolUseId": "a", "name": "x", "input": {}}}
    found = said(thought, {"text": "So."}, use, reason="max_tokens")
    assert NativeTurn(SCOPE, [thought, {"text": "So."}]) in found
    assert found[-1] == Stopped("max_output_tokens")


def test_the_answer_tool_is_the_text() -> None:
    wanted = {"type": "json_schema", "name": "person", "schema": {"type": "object"}}
    turn = Turn(model=NOVA, spans=(), text_format=wanted)
    use = {"toolUse": {"toolUseId": "a", "name": "person", "input": {"name": "Ada"}}}
    assert said(use, turn=turn, reason="tool_use") == [
        TextDelta('{"name":"Ada"}'),
        USAGE,
        Stopped(),
    ]
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}}
    native = said(thought, use, turn=turn)[-2]
    assert native == NativeTurn(
        "bedrock:amazon.nova-pro-v1:0", [thought, {"text": '{"name":"Ada"}'}]
    )


# --- what AWS runs or makes


def test_grounding_is_shown_as_a_search() -> None:
    call = {"toolUseId": "t", "name": "nova_grounding", "type": "server_tool_use"}
    found = said(
        {"text": "Let me see."},
        {"toolUse": {**call, "input": {"query": "ruby"}}},
        {"toolResult": {"toolUseId": "t", "status": "error", "content": []}},
        {"text": "Nothing."},
        turn=Turn(model=NOVA_2, spans=()),
    )
    search = {
        "type": "web_search_call",
        "status": "failed",
        "action": {"type": "search", "query": "ruby"},
    }
    assert found[:4] == [
        TextDelta("Let me see."),
        ItemFinished(),
        OutputItem(search),
        TextDelta("Nothing."),
    ]
    assert isinstance(found[-2], NativeTurn)


def test_hosted_tools_that_are_new_are_kept_in_the_native_turn_only() -> None:
    call = {"toolUseId": "t", "name": "nova_new", "type": "server_tool_use", "input": {}}
    result = {"toolUseId": "t", "content": [{"text": "?"}]}
    stray = {"toolUseId": "u", "content": []}
    content = [{"toolUse": call}, {"toolResult": result}, {"toolResult": stray}]
    found = said(*content)
    assert found == [USAGE, NativeTurn(SCOPE, content), Stopped()]


def test_pictures_are_shown_as_generated() -> None:
    found = heard(
        BEGIN,
        start(0, image={"format": "png"}),
        delta(0, image={"source": {"bytes": "AAAA"}}),
        stop(0),
        start(1, image={"format": "png"}),
        delta(1, image={"error": {"message": "no"}}),
        stop(1),
        end(),
        METADATA,
    )
    items = [one.item for one in found if isinstance(one, OutputItem)]
    assert items == [
        {"type": "image_generation_call", "status": "completed", "result": "AAAA"},
        {"type": "image_generation_call", "status": "failed", "result": None},
    ]
    image = {"image": {"format": "png", "source": {"bytes": "AAAA"}}}
    native = NativeTurn(SCOPE, [image])
    assert native in found
    assert said(image) == [OutputItem(items[0]), USAGE, native, Stopped()]


def test_a_turn_that_cannot_be_given_back_as_it_came_is_not_given_back() -> None:
    thought = {"reasoningContent": {"text": "Hm.", "signature": "s"}}
    found = heard(BEGIN, delta(0, **thought), stop(0), delta(1, new={}), stop(1), end(), METADATA)
    assert not [one for one in found if isinstance(one, NativeTurn)]


def test_a_block_of_a_new_kind_is_kept_if_it_came_whole() -> None:
    assert NativeTurn(SCOPE, [{"new": {"a": 1}}]) in said({"new": {"a": 1}})
    found = heard(BEGIN, delta(0, new={"a": 1}), stop(0), ("newEvent", {}), end(), METADATA)
    assert found == [USAGE, Stopped()]
