"""Oddities of chat completions answers, one at a time. Recorded answers are tested elsewhere."""

import pytest
from chat_cases import (
    TURN,
    answer,
    chunk,
    decode_chunks,
    reasoning_of,
    text_of,
)
from chat_deltas import (
    CHAT,
    STOP,
    THINKING,
    call,
    calls_in,
    of,
)

from responses_mw.adapters import chat_dialects as dialects
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.deltas import (
    AnnotationAdded,
    NativeTurn,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    ToolCallStarted,
    UpstreamInfo,
)
from responses_mw.errors import UpstreamProtocolError

# --- text and reasoning


def test_text_arrives_piece_by_piece_and_empty_pieces_do_not():
    deltas = decode_chunks(
        CHAT, chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), STOP
    )
    assert of(TextDelta, deltas) == [TextDelta("Hel"), TextDelta("lo")]


def test_the_first_chunk_that_says_something_introduces_the_model():
    empty = {"choices": [], "model": "", "id": "", "prompt_filter_results": []}  # as Azure begins
    first = {**chunk(role="assistant"), "model": "gpt-x", "id": "c1", "service_tier": "default"}
    deltas = decode_chunks(CHAT, empty, first, chunk(content="Hi"), STOP)
    assert deltas[0] == UpstreamInfo(model="gpt-x", service_tier="default", upstream_id="c1")
    assert len(of(UpstreamInfo, deltas)) == 1


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "Hm"},
        {"reasoning": "Hm"},
        {"reasoning": "Hm", "reasoning_content": "Hm"},
        {"reasoning_content": None, "reasoning": "Hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm", "index": 0}]},
        {"reasoning": "Hm", "reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]},
    ],
    ids=repr,
)
def test_reasoning_is_told_once_wherever_it_stands(delta):
    deltas = decode_chunks(CHAT, chunk(**delta), chunk(content="Yes"), STOP)
    assert of(ReasoningDelta, deltas) == [ReasoningDelta("Hm", raw=True)]
    assert text_of(deltas) == "Yes"


def test_encrypted_reasoning_opens_one_item_without_text():
    details = [{"type": "reasoning.encrypted", "data": "opaque", "index": 0}]
    piece = chunk(reasoning_details=details)
    deltas = decode_chunks(ChatCompletions(dialects.OPENROUTER), piece, piece, STOP)
    assert of(ReasoningDelta, deltas) == [ReasoningDelta("")]


def test_a_list_as_content_keeps_its_order():
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "Yes"},
    ]
    assert list(CHAT.decode(answer(content=parts), TURN))[1:3] == [
        ReasoningDelta("Hm", raw=True),
        TextDelta("Yes"),
    ]


def test_an_unknown_content_part_is_not_passed_over():
    with pytest.raises(UpstreamProtocolError, match="hologram"):
        CHAT.decode(answer(content=[{"type": "hologram"}]), TURN)


@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("<think>\nHm\n</think>\n\nYes", "Hm\n", "Yes"),
        ("<think>Hm</think>Yes", "Hm", "Yes"),
        ("\n<think>Hm</think> Yes", "Hm", " Yes"),
        ("<think>\n\n</think>\n\nYes", "", "Yes"),
        ("<think>a < b </thin</think>Yes", "a < b </thin", "Yes"),
        ("<think>cut sh", "cut sh", ""),
        ("<think>cut sh</thi", "cut sh</thi", ""),
        ("<thinking> is a word", "", "<thinking> is a word"),
        ("<thi", "", "<thi"),
        ("Say <think>no</think>", "", "Say <think>no</think>"),
        ("  plain", "", "  plain"),
    ],
)
def test_think_tags_are_parted_from_the_text_however_it_is_cut(text, thought, said):
    for size in (1, 3, 7, 100):
        pieces = [chunk(content=text[at : at + size]) for at in range(0, len(text), size)]
        deltas = decode_chunks(THINKING, *pieces, STOP)
        assert (reasoning_of(deltas), text_of(deltas)) == (thought, said)


def test_think_tags_are_text_where_the_dialect_does_not_know_them():
    text = "<think>Hm</think>Yes"
    assert text_of(decode_chunks(CHAT, chunk(content=text), STOP)) == text


def test_text_held_back_comes_before_a_tool_call():
    piece = chunk(tool_calls=[call(0, "c1", "look", "{}")])
    deltas = decode_chunks(THINKING, chunk(content="<thi"), piece, STOP)
    kinds = [type(delta) for delta in deltas]
    assert kinds.index(TextDelta) < kinds.index(ToolCallStarted)


def test_refusals_and_log_probabilities_take_the_form_of_the_responses_api():
    tokens = [
        {
            "token": "Hi",
            "logprob": -0.5,
            "bytes": [72, 105],
            "top_logprobs": [{"token": "He", "logprob": -1.0, "bytes": None}],
            "id": 7,
        }
    ]
    piece = chunk(content="Hi")
    piece["choices"][0]["logprobs"] = {"content": tokens, "refusal": None}
    deltas = decode_chunks(CHAT, piece, chunk(refusal="No"), STOP)
    top = {"token": "He", "logprob": -1.0, "bytes": [72, 101]}
    told = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [top]}
    assert of(TextDelta, deltas) == [TextDelta("Hi", (told,))]
    assert of(RefusalDelta, deltas) == [RefusalDelta("No")]


def test_log_probabilities_without_text_wait_for_the_text():
    """Half of an emoji is a token, but no text."""
    half = chunk(content="")
    half["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -1, "bytes": [240]}]}
    deltas = decode_chunks(CHAT, half, chunk(content="x"), STOP)
    (text,) = of(TextDelta, deltas)
    assert [token["bytes"] for token in text.logprobs] == [[240]]
    deltas = decode_chunks(CHAT, chunk(content="x"), half, STOP)
    assert [len(text.logprobs) for text in of(TextDelta, deltas)] == [0, 1]


# --- annotations


def test_annotations_that_cite_nothing_are_passed_over():
    parsed = {"type": "file", "file": {"hash": "h", "name": "a.pdf", "content": []}}
    deltas = list(CHAT.decode(answer(content="read", annotations=[parsed]), TURN))
    assert not of(AnnotationAdded, deltas)


def test_annotations_are_told_while_the_text_is_open():
    citation = {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}
    body = answer(
        content="Hi",
        annotations=[{"type": "url_citation", "url_citation": citation}],
        tool_calls=[call(id="c1", name="look", arguments="{}")],
    )
    deltas = list(CHAT.decode(body, TURN))
    kinds = [type(delta) for delta in deltas]
    assert kinds.index(TextDelta) < kinds.index(AnnotationAdded) < kinds.index(ToolCallStarted)
    assert of(AnnotationAdded, deltas)[0].annotation == {"type": "url_citation", **citation}


def test_numbered_sources_become_citations_at_their_markers():
    sources = {
        "citations": ["https://a.example", "https://b.example"],
        "search_results": [{"url": "https://b.example", "title": "B"}],
    }
    pieces = [{**chunk(content=text), **sources} for text in ("One[", "2] and", " none[7].")]
    deltas = decode_chunks(ChatCompletions(dialects.PERPLEXITY), *pieces, STOP)
    assert [delta.annotation for delta in of(AnnotationAdded, deltas)] == [
        {
            "type": "url_citation",
            "start_index": 3,
            "end_index": 6,
            "url": "https://b.example",
            "title": "B",
        }
    ]


# --- tool calls

LOOK = ("c1", "look", '{"a":1}')
FIND = ("c2", "find", "{}")


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        # the usual way: one start, then pieces by index
        ([[call(0, "c1", "look", "")], [call(0, arguments='{"a"')], [call(0, arguments=":1}")]],
         [LOOK]),
        # whole calls, with and without an index (Groq, Ollama, Mistral)
        ([[call(0, "c1", "look", '{"a":1}'), call(1, "c2", "find", "{}")]], [LOOK, FIND]),
        ([[call(None, "c1", "look", '{"a":1}'), call(None, "c2", "find", "{}")]], [LOOK, FIND]),
        ([[call(None, "c1", "look", '{"a":1}')], [call(None, "c2", "find", "{}")]], [LOOK, FIND]),
        # every call has index 0
        ([[call(0, "c1", "look", '{"a":1}')], [call(0, "c2", "find", "{}")]], [LOOK, FIND]),
        ([[call(0, "", "look", "{}")], [call(0, "", "look", "{}")]],
         [(None, "look", "{}"), (None, "look", "{}")]),
        # no index, the id tells (or its absence)
        ([[call(None, "c1", "look", "")], [call(None, "c1", arguments='{"a":1}')]], [LOOK]),
        ([[call(None, "c1", "look")], [call(None, arguments='{"a":1}')]], [LOOK]),
        # the name comes again, empty or with the same id
        ([[call(0, "c1", "look")], [call(0, name="", arguments='{"a":1}')]], [LOOK]),
        ([[call(0, "c1", "look", '{"a"')], [call(0, "c1", "look", ":1}")]], [LOOK]),
        # interleaved
        ([[call(0, "c1", "look", '{"a"'), call(1, "c2", "find", "{")],
          [call(0, arguments=":1}"), call(1, arguments="}")]], [LOOK, FIND]),
        # arguments as an object
        ([[call(0, "c1", "look", {"a": 1})]], [LOOK]),
        # none at all
        ([[call(0, "c2", "find")]], [("c2", "find", "")]),
    ],
)  # fmt: skip
def test_pieces_of_tool_calls_find_their_call(pieces, expected):
    deltas = decode_chunks(CHAT, *(chunk(tool_calls=entries) for entries in pieces), STOP)
    assert calls_in(deltas) == expected
    assert of(Stopped, deltas) == [Stopped("stop")]


def test_whole_calls_are_apart_whatever_their_index():
    entries = [call(0, "", "look", "{}"), call(0, "", "look", "{}")]
    assert len(calls_in(CHAT.decode(answer(tool_calls=entries), TURN))) == 2


def test_the_older_function_call_is_a_tool_call():
    deltas = decode_chunks(
        CHAT,
        chunk(function_call={"name": "look", "arguments": ""}),
        chunk(function_call={"arguments": '{"a":1}'}),
        chunk("function_call"),
    )
    assert calls_in(deltas) == [(None, "look", '{"a":1}')]


def test_both_forms_of_one_call_are_one_call():
    function = {"name": "look", "arguments": "{}"}
    body = answer(function_call=function, tool_calls=[{"id": "c1", "function": function}])
    assert calls_in(CHAT.decode(body, TURN)) == [("c1", "look", "{}")]


def test_an_empty_function_call_is_none():
    body = answer(content="Hi", function_call={"name": "", "arguments": ""})
    assert not calls_in(CHAT.decode(body, TURN))


def test_a_call_without_a_name_is_the_upstreams_mistake():
    with pytest.raises(UpstreamProtocolError, match="without a name"):
        decode_chunks(CHAT, chunk(tool_calls=[call(0, "c1", arguments="{}")]), STOP)


# --- the native turn


def test_nothing_native_where_items_suffice():
    piece = chunk(content="Hi", reasoning="Hm", tool_calls=[call(0, "c1", "look", "{}")])
    assert not of(NativeTurn, decode_chunks(CHAT, piece, STOP))


def test_signed_reasoning_comes_back_as_it_was_said():
    adapter = ChatCompletions(dialects.OPENROUTER)
    text = {"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1"}
    deltas = decode_chunks(
        adapter,
        chunk(reasoning="I ", reasoning_details=[{**text, "text": "I "}]),
        chunk(reasoning="see", reasoning_details=[{**text, "text": "see"}]),
        chunk(reasoning_details=[{**text, "signature": "sig"}]),
        chunk(reasoning_details=[{"type": "reasoning.encrypted", "data": "x", "index": 1}]),
        chunk(content="Yes"),
        chunk(tool_calls=[call(0, "c1", "look", '{"a"')]),
        chunk(tool_calls=[call(0, arguments=":1}")]),
        STOP,
    )
    (native,) = of(NativeTurn, deltas)
    assert native.scope == adapter.scope(TURN)
    assert native.state == {
        "role": "assistant",
        "content": "Yes",
        "reasoning_details": [
            {**text, "text": "I see", "signature": "sig"},
            {"type": "reasoning.encrypted", "data": "x", "index": 1},
        ],
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "look", "arguments": '{"a":1}'},
            }
        ],
    }
    assert deltas.index(native) < deltas.index(Stopped("stop"))


def test_reasoning_details_with_ids_of_their_own_stay_apart():
    details = [
        {"type": "reasoning.summary", "index": 0, "id": id, "summary": id, "format": None}
        for id in ("a", "b")
    ]
    pieces = [chunk(reasoning_details=[detail]) for detail in details]
    (native,) = of(NativeTurn, decode_chunks(CHAT, *pieces, STOP))
    assert native.state["reasoning_details"] == details


def test_a_signature_on_a_call_is_kept_with_the_call():
    signed = {"google": {"thought_signature": "sig"}}
    entry = call(0, "c1", "look", "{}", extra_content=signed)
    (native,) = of(NativeTurn, decode_chunks(CHAT, chunk(tool_calls=[entry]), STOP))
    assert native.state["tool_calls"][0]["extra_content"] == signed


def test_a_call_id_too_long_for_clients_is_kept_for_the_upstream():
    id = "c" * 65
    piece = chunk(tool_calls=[call(0, id, "look", "{}")])
    (native,) = of(NativeTurn, decode_chunks(CHAT, piece, STOP))
    assert native.state["tool_calls"][0]["id"] == id
