"""What is read by likeness is what the format's own reader would have said, however it is cut."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from cases import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_mw.adapters.chat_decode import ChatDecoder
from responses_mw.adapters.chat_dialects import OPENAI
from responses_mw.adapters.reading import Reading
from responses_mw.adapters.repeats import Repeats
from responses_mw.deltas import Delta, TextRun, singly
from responses_mw.errors import UpstreamError

CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def event(delta: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **more}
    return b"data: %b\n\n" % orjson.dumps({**CHUNK, "choices": [choice]})


def said(text: str) -> bytes:
    return event({"content": text})


END = event({}, finish_reason="stop") + b"data: [DONE]\n\n"


def read(chunks: list[bytes], *, by_likeness: bool = True) -> tuple[list[Delta], str | None]:
    """The deltas, and the error at the end if there is one."""
    decoder = ChatDecoder(OPENAI, scope="test")
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


def runs(chunks: list[bytes]) -> list[list[str]]:
    reading, deltas = Reading(ChatDecoder(OPENAI, scope="t"), "sse", name="t"), list[Delta]()
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


def streams() -> list[Path]:
    return sorted(SHARED.glob("recordings/*/*.response.sse")) if SHARED.is_dir() else []


@pytest.mark.parametrize("size", [700, 5000])
def test_likeness_changes_nothing_of_recorded_streams(size: int):
    paths = [path for path in streams() if b"chat.completion.chunk" in path.read_bytes()[:4000]]
    if not paths:
        pytest.skip("no recordings beside the repository")
    several = 0
    for path in paths:
        stream = path.read_bytes()
        chunks = cut(stream, list(range(0, len(stream), size)))
        assert read(chunks) == read(chunks, by_likeness=False), path.name
        several += sum(len(texts) > 1 for texts in runs_or_none(chunks))
    assert several > 30


def runs_or_none(chunks: list[bytes]) -> list[list[str]]:
    try:
        return runs(chunks)
    except UpstreamError:
        return []


def test_padded_events_are_alike():
    """Anthropic pads its events with spaces before the last brace."""
    repeats = Repeats(b"text", lambda event: event["delta"]["text"])
    frame = b'event: e\ndata: {"delta":{"text":%b}%b}\n\n'
    data = b'{"delta":{"text":"a"}   }'
    repeats.learn(event_of(b"e", data), orjson.loads(data))
    chunk = frame % (b'"b"', b"") + frame % (b'"c}"', b"     ") + b"event: other\n"
    assert repeats.cut(chunk) == (b"", ["b", "c}"], b"event: other\n")
    assert repeats.cut(frame % (b'"b"', b',"more":1')) is None


def event_of(name: bytes, data: bytes) -> Any:
    from responses_mw.sse import ServerSentEvent

    return ServerSentEvent(name.decode(), data)
