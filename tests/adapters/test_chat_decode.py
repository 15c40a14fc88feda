"""Oddities of chat completions answers, one at a time. Recorded answers are tested elsewhere."""

import orjson
import pytest
from chat_cases import (
    TURN,
    answer,
    chunk,
    decode_chunks,
    decode_stream,
    frames,
    merged,
    reasoning_of,
    stream_of,
    text_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_mw.adapters import chat_dialects as dialects
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.deltas import (
    AnnotationAdded,
    NativeTurn,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
    UsageReported,
)
from responses_mw.errors import UpstreamError, UpstreamProtocolError

CHAT = ChatCompletions(dialects.GENERIC)
THINKING = ChatCompletions(dialects.HUGGINGFACE)
STOP = chunk("stop")


def call(index=None, id=None, name=None, arguments=None, **more):
    function = {"name": name, "arguments": arguments}
    entry = {"index": index, "id": id, "function": function, **more}
    return {key: value for key, value in entry.items() if value is not None}


def calls_in(deltas):
    deltas = list(deltas)
    calls = {found.key: [found.call_id, found.name, ""] for found in of(ToolCallStarted, deltas)}
    for piece in of(ToolCallDelta, deltas):
        calls[piece.key][2] += piece.arguments
    return [tuple(found) for found in calls.values()]


def of(kind, deltas):
    return [delta for delta in deltas if isinstance(delta, kind)]


def usage_of(adapter=CHAT, **usage):
    (report,) = of(UsageReported, decode_chunks(adapter, STOP, {"choices": [], "usage": usage}))
    return report


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


# --- the end


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", "stop"), ("tool_calls", "stop"), ("function_call", "stop"), ("eos", "stop"),
     ("brand_new", "stop"), ("length", "max_output_tokens"), ("model_length", "max_output_tokens"),
     ("content_filter", "content_filter"), ("LENGTH", "max_output_tokens")],
)  # fmt: skip
def test_each_finish_reason_has_its_meaning(finish, reason):
    assert decode_chunks(CHAT, chunk(finish), done=False)[-1] == Stopped(reason)
    assert list(CHAT.decode(answer(finish, content="Hi"), TURN))[-1] == Stopped(reason)


@pytest.mark.parametrize("finish", ["error", "insufficient_system_resource", "abort"])
def test_a_finish_that_is_a_failure_is_raised(finish):
    with pytest.raises(UpstreamError, match=finish):
        decode_chunks(CHAT, chunk(content="Hi"), chunk(finish))


def test_done_alone_ends_an_answer():
    assert decode_chunks(CHAT, chunk(content="Hi"))[-1] == Stopped("stop")


def test_an_object_that_says_done_ends_an_answer():
    last = {**chunk(content=""), "object": "chat.completion.done"}
    assert decode_chunks(CHAT, chunk(content="Hi"), last, done=False)[-1] == Stopped("stop")


def test_neither_finish_reason_nor_done_is_cut_short():
    with pytest.raises(UpstreamProtocolError, match="without finish_reason"):
        decode_chunks(CHAT, chunk(content="Hi"), done=False)


@pytest.mark.parametrize("body", [b"", b": ping\n\n", b"data: [DONE]\n\n"])
def test_a_stream_that_says_nothing_is_no_answer(body):
    with pytest.raises(UpstreamProtocolError):
        decode_stream(CHAT, body)


def test_what_follows_the_end_is_passed_over():
    body = stream_of([chunk(content="Hi")]) + stream_of([chunk(content="again")])
    assert text_of(decode_stream(CHAT, body)) == "Hi"


def test_a_whole_answer_in_one_event_of_a_stream_is_read():
    body = orjson.loads(answer(content="Hi"))
    assert text_of(decode_chunks(CHAT, body)) == "Hi"


def test_a_repeated_whole_answer_at_the_end_is_not_said_twice():
    last = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert text_of(decode_chunks(CHAT, chunk(content="Hi"), last)) == "Hi"


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"message": "busy", "code": 503}},
        {"error": {"message": "busy", "code": 503}, **chunk("error")},
        {"error": "busy"},
        {"x_groq": {"error": "busy"}, "choices": []},
        {"choices": [{"index": 0, "delta": {}, "error": {"message": "busy", "code": 502}}]},
    ],
)
def test_an_error_inside_a_stream_is_raised_as_what_it_is(event):
    with pytest.raises(UpstreamError, match="busy") as caught:
        decode_chunks(CHAT, chunk(content="Hi"), event)
    assert caught.value.status >= 500
    assert caught.value.provider == "chat_completions"


def test_an_error_event_needs_no_error_field():
    body = (
        stream_of([chunk(content="Hi")], done=False) + b'event: error\ndata: {"message":"no"}\n\n'
    )
    with pytest.raises(UpstreamError, match="no"):
        decode_stream(CHAT, body)


def test_a_second_choice_is_refused():
    second = {"choices": [{"index": 1, "delta": {"content": "Hi"}}]}
    with pytest.raises(UpstreamProtocolError, match="more than one choice"):
        decode_chunks(CHAT, second)
    both = {"choices": [{"index": n, "message": {"content": "Hi"}} for n in (0, 1)]}
    with pytest.raises(UpstreamProtocolError, match="more than one choice"):
        CHAT.decode(orjson.dumps(both), TURN)


# --- usage


@pytest.mark.parametrize(
    "cached",
    [
        {"prompt_tokens_details": {"cached_tokens": 4}},
        {"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6},
        {"num_cached_tokens": 4},
        {"cached_tokens": 4, "prompt_tokens_details": None},
    ],
)
def test_cached_tokens_are_found_in_each_spelling(cached):
    assert usage_of(prompt_tokens=10, completion_tokens=2, **cached) == UsageReported(10, 2, 4)


def test_details_of_usage_are_reported():
    report = usage_of(
        prompt_tokens=10,
        completion_tokens=5,
        total_tokens=15,
        prompt_tokens_details={"cached_tokens": 1, "cache_write_tokens": 2},
        completion_tokens_details={"reasoning_tokens": 3},
    )
    assert report == UsageReported(10, 5, 1, 2, 3)


def test_reasoning_left_out_of_the_completion_is_counted():
    details = {"reasoning_tokens": 30}
    left_out = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}
    assert usage_of(**left_out, completion_tokens_details=details) == UsageReported(
        10, 35, reasoning_tokens=30
    )
    gemini = ChatCompletions(dialects.GEMINI)
    assert usage_of(gemini, **left_out) == UsageReported(10, 35, reasoning_tokens=30)
    assert usage_of(**left_out) == UsageReported(10, 5)


def test_the_last_of_many_reports_counts():
    pieces = [
        {**chunk(content="x"), "usage": {"prompt_tokens": 3, "completion_tokens": n}}
        for n in range(1, 4)
    ]
    deltas = decode_chunks(CHAT, *pieces, STOP)
    assert of(UsageReported, deltas) == [UsageReported(3, 3)]


def test_groqs_own_place_for_usage_is_known():
    last = {**STOP, "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}}
    assert of(UsageReported, decode_chunks(CHAT, last)) == [UsageReported(3, 1)]


def test_no_usage_is_no_report():
    assert not of(UsageReported, decode_chunks(CHAT, STOP))


# --- broken JSON and halves of characters


def raw(*texts: bytes, field: bytes = b"content") -> bytes:
    chunks = [
        b'data: {"choices":[{"index":0,"delta":{"' + field + b'":"' + text + b'"}}]}\n\n'
        for text in texts
    ]
    return b"".join([*chunks, b"data: [DONE]\n\n"])


@pytest.mark.parametrize("field", [b"content", b"reasoning", b"refusal"])
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((rb"a\ud83d", rb"\ude00b"), "a\N{GRINNING FACE}b"),
        ((rb"a\ud83d", b"b"), "a\ufffdb"),
        ((rb"a\ude00", b"b"), "a\ufffdb"),
        ((rb"a\ud83d",), "a\ufffd"),
        ((rb"\ud83d", rb"\ud83d", rb"\ude00"), "\ufffd\N{GRINNING FACE}"),
        ((rb"\ud83d\ude00",), "\N{GRINNING FACE}"),
    ],
)
def test_a_character_split_over_two_events_is_joined(pieces, expected, field):
    deltas = decode_stream(CHAT, raw(*pieces, field=field))
    told = of((TextDelta, ReasoningDelta, RefusalDelta), deltas)
    assert "".join(delta.text for delta in told) == expected
    for delta in told:
        delta.text.encode()


def test_a_character_split_within_arguments_is_joined():
    first = rb'{"index":0,"id":"c1","function":{"name":"look","arguments":"\ud83d"}}'
    second = rb'{"index":0,"function":{"arguments":"\ude00"}}'
    body = b"".join(
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[' + piece + b"]}}]}\n\n"
        for piece in (first, second)
    )
    deltas = decode_stream(CHAT, body + b"data: [DONE]\n\n")
    assert calls_in(deltas) == [("c1", "look", "\N{GRINNING FACE}")]


def test_half_a_character_at_the_end_of_arguments_is_replaced():
    piece = rb'{"index":0,"id":"c1","function":{"name":"look","arguments":"a\ud83d"}}'
    body = b'data: {"choices":[{"delta":{"tool_calls":[' + piece + b"]}}]}\n\ndata: [DONE]\n\n"
    assert calls_in(decode_stream(CHAT, body)) == [("c1", "look", "a\ufffd")]


def test_half_a_character_in_a_whole_answer_is_replaced():
    body = rb'{"choices":[{"index":0,"message":{"content":"a\ud83d"}}]}'
    assert text_of(list(CHAT.decode(body, TURN))) == "a\ufffd"


@pytest.mark.parametrize(
    "data",
    [
        b"{", b"nonsense", b"[" * 100_000, b"null", b"7", b'"text"', b"[]", b'{"choices": 7}',
        b'{"choices": [null]}', b'{"choices": [{"delta": "text"}]}', b'{"choices": [[]]}',
        b'{"choices": [{"delta": {"content": 7}}]}',
        b'{"choices": [{"delta": {"content": {"a": 1}}}]}',
        b'{"choices": [{"delta": {"tool_calls": [7]}}]}', b"\xff\xfe",
        b'{"choices": [{"delta": {"tool_calls": {"name": "x"}}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": [], "function": {"name": "x"}}]}}]}',
        b'{"choices": [{"delta": {"annotations": [{"type": "url_citation"}]}}]}',
        b'{"choices": [{"delta": {"reasoning": "x", "reasoning_details": ["abc"]}}]}',
        b'{"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": "x"}}',
    ],
)  # fmt: skip
def test_what_is_no_chat_completion_is_the_upstreams_mistake(data):
    with pytest.raises(UpstreamProtocolError):
        decode_stream(CHAT, b"data: " + data + b"\n\ndata: [DONE]\n\n")


def test_a_whole_answer_of_another_form_is_the_upstreams_mistake():
    for body in (b"{}", b'{"choices": []}', b'{"choices": 7}', b'{"choices": [7]}'):
        with pytest.raises(UpstreamProtocolError):
            CHAT.decode(body, TURN)


def test_usage_of_another_form_is_found_out_at_the_end_of_the_bytes_too():
    last = {**STOP, "usage": {"prompt_tokens": "many"}}
    with pytest.raises(UpstreamProtocolError, match="form"):
        decode_chunks(CHAT, last, done=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x", "text", "thinking"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(
        st.sampled_from([
            "id", "index", "type", "name", "function", "arguments", "text", "thinking",
            "content", "url_citation", "url", "reasoning_tokens", "cached_tokens", "message",
        ]),
        inner,
        max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip
FIELDS = [
    "content", "reasoning", "reasoning_content", "reasoning_details", "refusal", "tool_calls",
    "function_call", "annotations", "extra_content",
]  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3),
    st.dictionaries(st.sampled_from(["logprobs", "finish_reason", "index", "error"]), JSON),
    st.dictionaries(st.sampled_from(["usage", "x_groq", "model", "id", "citations"]), JSON),
)
@settings(max_examples=300, deadline=None)
def test_whatever_an_upstream_sends_only_upstream_errors_are_raised(delta, choice, top):
    event = {**top, "choices": [{**choice, "delta": delta}]}
    for adapter in (CHAT, THINKING, ChatCompletions(dialects.PERPLEXITY)):
        try:
            deltas = decode_chunks(adapter, event, chunk(content="x[1]"))
        except UpstreamError:
            continue
        for found in of((TextDelta, ReasoningDelta, RefusalDelta), deltas):
            assert isinstance(found.text, str)
        assert all(isinstance(found.name, str) for found in of(ToolCallStarted, deltas))


def test_deltas_come_as_soon_as_their_event():
    decoder = CHAT.decoder(TURN)
    (first, last) = frames(stream_of([chunk(content="Hi")]))
    assert TextDelta("Hi") in list(decoder.feed(first))
    assert list(decoder.feed(last)) == [Stopped("stop")]
    assert list(decoder.close()) == []


def test_an_adapter_keeps_nothing_between_answers():
    first = decode_chunks(CHAT, chunk(content="one"), STOP)
    second = decode_chunks(CHAT, chunk(content="one"), STOP)
    assert merged(first) == merged(second)
