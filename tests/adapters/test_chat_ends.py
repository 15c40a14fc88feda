"""How chat completions answers end, what they report, and what is broken in them."""

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
    stream_of,
    text_of,
)
from chat_deltas import (
    CHAT,
    STOP,
    THINKING,
    calls_in,
    of,
    usage_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_mw.adapters import chat_dialects as dialects
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.decoding import well_formed
from responses_mw.deltas import (
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    ToolCallStarted,
    UsageReported,
)
from responses_mw.errors import UpstreamError, UpstreamProtocolError

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
        b'{"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": ["x"]}',
    ],
)  # fmt: skip
def test_what_is_no_chat_completion_is_the_upstreams_mistake(data):
    with pytest.raises(UpstreamProtocolError):
        decode_stream(CHAT, b"data: " + data + b"\n\ndata: [DONE]\n\n")


def test_a_whole_answer_of_another_form_is_the_upstreams_mistake():
    for body in (b"{}", b'{"choices": []}', b'{"choices": 7}', b'{"choices": [7]}'):
        with pytest.raises(UpstreamProtocolError), well_formed("chat"):
            CHAT.decode(body, TURN)


def test_usage_of_another_form_is_found_out_at_the_end_of_the_bytes_too():
    last = {**STOP, "usage": ["many"]}
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
