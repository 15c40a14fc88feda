"""What is read by likeness is what the format's own reader would have said, however it is cut."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from cases import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_mw.adapters.anthropic_decode import MessagesDecoder
from responses_mw.adapters.chat_decode import ChatDecoder
from responses_mw.adapters.chat_dialects import OPENAI
from responses_mw.adapters.counted_repeats import CountedRepeats
from responses_mw.adapters.gemini_decode import GeminiDecoder
from responses_mw.adapters.openai_responses_decode import ResponsesDecoder
from responses_mw.adapters.openai_responses_dialects import OPENAI as OPENAI_RESPONSES
from responses_mw.adapters.reading import Reading
from responses_mw.adapters.repeats import Repeats
from responses_mw.deltas import Delta, TextRun, UsageReported, singly
from responses_mw.errors import UpstreamError
from responses_mw.sse import ServerSentEvent

CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def event(delta: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **more}
    return b"data: %b\n\n" % orjson.dumps({**CHUNK, "choices": [choice]})


def said(text: str) -> bytes:
    return event({"content": text})


END = event({}, finish_reason="stop") + b"data: [DONE]\n\n"


def chat() -> ChatDecoder:
    return ChatDecoder(OPENAI, scope="test")


def messages() -> MessagesDecoder:
    return MessagesDecoder(scope="test", answer_tool=None, provider="test")


def gemini() -> GeminiDecoder:
    return GeminiDecoder(scope="test", one_call=False, provider="test")


def responses() -> ResponsesDecoder:
    return ResponsesDecoder(OPENAI_RESPONSES, scope="test", limit=None, before=None)


def read(
    chunks: list[bytes], *, by_likeness: bool = True, by: Callable[[], Any] = chat
) -> tuple[list[Delta], str | None]:
    """The deltas, and the error at the end if there is one."""
    decoder = by()
    if not by_likeness:
        decoder.repeats = Repeats(b"no such field", lambda _: None)
    reading, deltas = Reading(decoder, "sse", name="test"), list[Delta]()
    try:
        for chunk in chunks:
            reading.feed(chunk, deltas)
        deltas += decoder.close()
    except UpstreamError as error:
        return list(singly(deltas)), str(error)
    return list(singly(deltas)), None


def runs(chunks: list[bytes], *, by: Callable[[], Any] = chat) -> list[list[str]]:
    reading, deltas = Reading(by(), "sse", name="test"), list[Delta]()
    for chunk in chunks:
        reading.feed(chunk, deltas)
    return [list(delta.texts) for delta in deltas if isinstance(delta, TextRun)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(stream) + 1) for place in places})
    return [stream[a:b] for a, b in zip([0, *at], [*at, len(stream)], strict=True)]


def test_texts_of_one_read_are_one_run():
    stream = event({"role": "assistant", "content": ""}) + b"".join(map(said, "abcd"))
    assert runs([stream, said("e") + said("f") + END]) == [["b", "c", "d"], ["e", "f"]]


TEXTS = st.text(max_size=6) | st.sampled_from(['"', "\\", "\n\n", "data: ", '"content":"x"', "\0"])
OTHERS = st.sampled_from(
    [
        b": ping\n\n",
        b"\n\n",
        b"\xef\xbb\xbf",
        b"event: message\n",
        b"data: [DONE]\n\n",
        event({"content": None}),
        event({"content": 1}),
        event({"content": "x", "reasoning_content": "why"}),
        event({"role": "assistant", "content": "x"}),
        event({"content": "x"}, finish_reason="length"),
        event({"content": "x"}, logprobs={"content": [{"token": "x", "logprob": -1.0}]}),
        event({"tool_calls": [{"index": 0, "id": "i", "function": {"name": "f"}}]}),
        said("x").replace(b"}]", b"}] "),
        said("x").replace(b"\n", b"\r\n"),
        said("x").replace(b'"x"', b'"\\ud83d"'),
        said("x").replace(b'"x"', b'"x",'),
        said("x").replace(b"data: ", b"data:"),
        said("x").replace(b"data: ", b"id: 7\ndata: "),
        said("x").replace(b'"model":"m"', b'"model":"other"'),
        b'data: {"error": {"message": "no"}}\n\n',
        END,
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    pieces=st.lists(TEXTS.map(said) | TEXTS.map(said) | OTHERS, max_size=14),
    places=st.lists(st.integers(min_value=0, max_value=1 << 16), max_size=8),
)
def test_likeness_changes_nothing(pieces: list[bytes], places: list[int]):
    chunks = cut(b"".join(pieces), places)
    assert read(chunks) == read(chunks, by_likeness=False)


def block(**said: Any) -> bytes:
    return b"event: content_block_delta\ndata: %b\n\n" % orjson.dumps(
        {"type": "content_block_delta", "index": 0, **said}
    )


def word(text: str) -> bytes:
    return block(delta={"type": "text_delta", "text": text})


def started(index: int, **content: Any) -> bytes:
    event = {"type": "content_block_start", "index": index, "content_block": content}
    return b"event: content_block_start\ndata: %b\n\n" % orjson.dumps(event)


BEGIN = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m"}}\n\n'
STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
CITED = {"type": "citations_delta", "citation": {"url": "https://a", "title": "t"}}
BLOCKS = st.sampled_from(
    [
        b'event: ping\ndata: {"type":"ping"}\n\n',
        STOP,
        started(1, type="thinking", thinking=""),
        started(1, type="text", text=""),
        block(delta=CITED),
        block(delta={"type": "thinking_delta", "thinking": "x"}),
        word("x").replace(b'"index":0', b'"index":1'),
        word("x").replace(b'"x"', b'"\\ud83d"'),
        word("x").replace(b'"}', b'"}    '),
        word("x").replace(b'"}', b'","more":1}'),
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    pieces=st.lists(TEXTS.map(word) | TEXTS.map(word) | BLOCKS, max_size=14),
    places=st.lists(st.integers(min_value=0, max_value=1 << 16), max_size=8),
)
def test_likeness_changes_nothing_of_messages(pieces: list[bytes], places: list[int]):
    chunks = cut(b"".join([BEGIN, started(0, type="text", text=""), *pieces]), places)
    assert read(chunks, by=messages) == read(chunks, by=messages, by_likeness=False)


def candidate(*parts: dict[str, Any], count: int = 3, end: bytes = b"\n", **more: Any) -> bytes:
    chunk = {
        "candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0, **more}],
        "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": count},
        "modelVersion": "gemini-2.5-flash",
    }
    return b"data: %b%b%b" % (orjson.dumps(chunk), end, end)


def uttered(text: str, count: int = 3, end: bytes = b"\n") -> bytes:
    return candidate({"text": text}, count=count, end=end)


COUNTED = st.builds(uttered, TEXTS, st.sampled_from([0, 3, 17, 1_000_000]))
CANDIDATES = st.sampled_from(
    [
        uttered("x", end=b"\r\n"),
        uttered("x", end=b"\r"),
        uttered("").replace(b'"text":""', b'"text":"\\ud83d"'),
        uttered("").replace(b'"text":""', b'"text":"\\ude00"'),
        uttered("x").replace(b'"index":0', b'"index":1'),
        uttered("x").replace(b"2.5", b"3.0"),
        uttered("x").replace(b'"candidatesTokenCount":3', b'"thoughtsTokenCount":5'),
        uttered("x").replace(b'"candidatesTokenCount":3', b'"candidatesTokenCount":null'),
        uttered("x").replace(b'"parts"', b' "parts"'),
        candidate({"text": "x", "thought": True}),
        candidate({"text": "x", "thoughtSignature": "c2ln"}),
        candidate({"text": "x"}, {"text": "y"}),
        candidate({"functionCall": {"name": "f", "args": {}}}),
        candidate({"functionCall": {"name": "f", "id": "i", "willContinue": True}}),
        candidate({"text": "x"}, finishReason="STOP"),
        candidate({"text": "x"}, logprobsResult={"chosenCandidates": [], "topCandidates": []}),
        candidate({"text": "x"}, citationMetadata={"citations": []}),
        b'data: {"error": {"message": "no", "code": 500}}\n\n',
        b'data: {"usageMetadata":{"promptTokenCount":9}}\n\n',
    ]
)
FINISHED = candidate({"text": ""}, finishReason="STOP")


@settings(max_examples=400, deadline=None)
@given(
    pieces=st.lists(COUNTED | COUNTED | CANDIDATES, max_size=14),
    ends=st.sampled_from([b"\n", b"\r\n"]),
    places=st.lists(st.integers(min_value=0, max_value=1 << 16), max_size=8),
)
def test_likeness_changes_nothing_of_candidates(
    pieces: list[bytes], ends: bytes, places: list[int]
):
    stream = b"".join([uttered("Hi", count=1), *pieces, FINISHED]).replace(b"\n", ends)
    chunks = cut(stream, places)
    assert told(chunks) == told(chunks, by_likeness=False)


def told(chunks: list[bytes], *, by_likeness: bool = True) -> tuple[list[Delta], str | None]:
    """Without the counts on the way: those of the end are the answer's."""
    deltas, error = read(chunks, by=gemini, by_likeness=by_likeness)
    reports = [delta for delta in deltas if isinstance(delta, UsageReported)]
    others = [delta for delta in deltas if not isinstance(delta, UsageReported)]
    return others + ([] if error else reports[-1:]), error


def test_counts_may_differ_and_nothing_else():
    texts = ["b", "c", 'd"}]', "\u2026"]
    counted = [uttered(text, count, b"\r\n") for count, text in enumerate(texts)]
    stream = uttered("a", 1, b"\r\n") + uttered("A", 2, b"\r\n") + b"".join(counted)
    assert runs([stream], by=gemini) == [["A", "b", "c", 'd"}]']]
    other = stream.replace(b'"index":0', b'"index":1', 4).replace(b'"index":1', b'"index":0', 3)
    assert read([other], by=gemini)[1] is not None
    repeats = CountedRepeats(b"text", lambda event: event["text"] if event["index"] == 0 else None)
    repeats.begin()
    data = b'{"text":"a","index":0,"count":1}'
    assert repeats.learn(ServerSentEvent(None, data), orjson.loads(data))
    frame = b'data: {"text":"%b","index":%b,"count":%b}\n\n'
    alike = [frame % (b"b", b"0", b"22"), frame % (b"c", b"0", b"3")]
    assert repeats.cut(b"".join(alike)) == (b"", ["b"], alike[1])
    assert repeats.cut(frame % (b"b", b"1", b"22") + frame % (b"c", b"1", b"3")) is None


def canonical(kind: str, **more: Any) -> bytes:
    data = {"type": f"response.{kind}", **more}
    return b"event: response.%b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))


def spoken(
    text: str, number: int = 4, padding: str = "x7", *, item: str = "msg_1", index: int = 0
) -> bytes:
    place = {"item_id": item, "output_index": index, "content_index": 0}
    varied = {"logprobs": [], "obfuscation": padding, "sequence_number": number}
    return canonical("output_text.delta", **place, delta=text, **varied)


MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": [], "status": "x"}
SPOKEN = st.builds(
    spoken, TEXTS, st.sampled_from([0, 3, 17, 1_000_000]), st.sampled_from(["", "ab", '"', "…"])
)
EVENTS = st.sampled_from(
    [
        spoken("x", item="msg_2", index=1),
        spoken("y", item="msg_2", index=1),
        spoken("x").replace(b'"content_index":0', b'"content_index":1'),
        spoken("x").replace(b'"sequence_number":4', b'"sequence_number":04'),
        spoken("x").replace(b'"sequence_number":4', b'"sequence_number":4.5'),
        spoken("x").replace(b'"sequence_number":4', b'"sequence_number":4,"delta":"z"'),
        spoken("x").replace(b'"delta":"x"', b'"delta":"\\ud83d"'),
        spoken("x").replace(b'"delta":"x"', b'"delta":"\\ude00"'),
        spoken("x").replace(b'"logprobs":[]', b'"logprobs":[{"token":"x","logprob":0}]'),
        spoken("x").replace(b"output_text", b"refusal"),
        spoken("x").replace(b"event: response.output_text.delta\n", b""),
        canonical("output_item.added", output_index=1, item={**MESSAGE, "id": "msg_2"}),
        canonical("output_item.done", output_index=0, item=MESSAGE),
        canonical("output_item.added", output_index=2, item={"type": "function_call", "id": "fc"}),
        canonical("function_call_arguments.delta", output_index=2, item_id="fc", delta="{}"),
        canonical("error", message="no"),
    ]
)
BEGUN = canonical("created", response={"id": "r"}) + canonical(
    "output_item.added", output_index=0, item=MESSAGE
)
OVER = canonical("completed", response={"id": "r", "status": "completed", "output": []})


@settings(max_examples=400, deadline=None)
@given(
    pieces=st.lists(SPOKEN | SPOKEN | EVENTS, max_size=14),
    places=st.lists(st.integers(min_value=0, max_value=1 << 16), max_size=8),
)
def test_likeness_changes_nothing_of_responses(pieces: list[bytes], places: list[int]):
    chunks = cut(b"".join([BEGUN, *pieces, OVER]), places)
    assert read(chunks, by=responses) == read(chunks, by=responses, by_likeness=False)


def test_numbers_and_padding_may_differ_and_no_item():
    stream = BEGUN + b"".join(spoken(text, n, "p" * n) for n, text in enumerate("abc"))
    assert runs([stream], by=responses) == [["b", "c"]]
    stream += b"".join(
        spoken(text, n, "p" * n, item="msg_2", index=1) for n, text in enumerate("de")
    )
    assert runs([stream], by=responses) == []
    one_by_one = [stream[:-10], stream[-10:] + spoken("f", item="msg_2", index=1)]
    assert read(one_by_one, by=responses) == read(one_by_one, by=responses, by_likeness=False)


def test_long_events_are_not_learned():
    stream = BEGUN + b"".join(spoken(text, n, "p" * 5000) for n, text in enumerate("abc"))
    assert runs([stream], by=responses) == []
    assert read([stream], by=responses) == read([stream], by=responses, by_likeness=False)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b'"delta":"a","\\u0064elta":"a"', b'"delta":"b","\\u0064elta":"a"'),
        (
            b'"delta":"a","obfuscation":"p","item_id" : "x"',
            b'"delta":"b","obfuscation":"p","delta" : "x"',
        ),
    ],
    ids=["escaped", "before a space"],
)
def test_a_name_that_stands_twice_is_read_as_its_format_does(first: bytes, second: bytes):
    one, other = (spoken("x").replace(b'"delta":"x"', twice) for twice in (first, second))
    chunks = [BEGUN + one, other + other, OVER]
    assert read(chunks, by=responses) == read(chunks, by=responses, by_likeness=False)


def test_an_event_full_of_numbers_is_read_once():
    """Looking at each of them took seconds: their number times their length."""
    counts = b'"a":1,' * 30_000 + b'"z":1e300'
    event = uttered("x").replace(b'"promptTokenCount":8', counts)
    began = time.process_time()
    assert read([event] * 3 + [FINISHED], by=gemini)[1] is None
    assert time.process_time() - began < 1


def streams() -> list[Path]:
    return sorted(SHARED.glob("recordings/*/*.response.sse")) if SHARED.is_dir() else []


@pytest.mark.parametrize("size", [700, 5000])
@pytest.mark.parametrize(
    ("mark", "by", "least"),
    [
        (b"chat.completion.chunk", chat, 30),
        (b"event: message_start", messages, 30),
        (b'"candidates"', gemini, 5),  # their pieces are long
        (b'"response.created"', responses, 30),
    ],
)
def test_likeness_changes_nothing_of_recorded_streams(
    mark: bytes, by: Callable[[], Any], least: int, size: int
):
    paths = [path for path in streams() if mark in path.read_bytes()[:4000]]
    if not paths:
        pytest.skip("no recordings beside the repository")
    several = 0
    for path in paths:
        stream = path.read_bytes()
        chunks = cut(stream, list(range(0, len(stream), size)))
        assert read(chunks, by=by) == read(chunks, by=by, by_likeness=False), path.name
        with contextlib.suppress(UpstreamError):
            several += sum(len(texts) > 1 for texts in runs(chunks, by=by))
    assert several > least or size < 1000


def test_padded_events_are_alike():
    """Anthropic pads its events with spaces before the last brace."""
    repeats = Repeats(b"text", lambda event: event["delta"]["text"])
    frame = b'event: e\ndata: {"delta":{"text":%b}%b}\n\n'
    data = b'{"delta":{"text":"a"}   }'
    repeats.begin()
    assert repeats.learn(ServerSentEvent("e", data), orjson.loads(data))
    chunk = frame % (b'"b"', b"") + frame % (b'"c}"', b"     ") + b"event: other\n"
    assert repeats.cut(chunk) == (b"", ["b", "c}"], b"event: other\n")
    assert repeats.cut(frame % (b'"b"', b',"more":1')) is None
