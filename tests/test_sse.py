"""The stream cutters: whatever the chunking, the same events."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_mw.errors import UpstreamProtocolError
from responses_mw.sse import NDJSONParser, ServerSentEvent, SSEParser

STREAM = (
    ": a comment\n"
    'event: first\ndata: {"a": 1}\n\n'
    "data: one\ndata: two\n\n"
    "id: 7\nretry: 3\nevent: no data, so no event\n\n"
    "data:no space\n\n"
    "data: ünïcode ✓\n\n"
    "data: unterminated\n"
)
EVENTS = [
    ServerSentEvent("first", b'{"a": 1}'),
    ServerSentEvent(None, b"one\ntwo"),
    ServerSentEvent(None, b"no space"),
    ServerSentEvent(None, "ünïcode ✓".encode()),
]


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[n : n + size] for n in range(0, len(data), size)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10**6])
def test_events_do_not_depend_on_chunks_or_line_ends(line_end: str, size: int) -> None:
    parser = SSEParser()
    chunks = cut(STREAM.replace("\n", line_end).encode(), size)
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS


@given(
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, len(STREAM) + 40)),
)
def test_events_do_not_depend_on_where_the_chunks_are_cut(line_end: str, cuts: list[int]) -> None:
    data = STREAM.replace("\n", line_end).encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parser = SSEParser()
    found = [e for a, b in pairwise(places) for e in parser.feed(data[a:b])]
    assert found == EVENTS


def test_a_byte_order_mark_is_passed_over() -> None:
    assert SSEParser().feed(b"\xef\xbb\xbfdata: x\n\n") == [ServerSentEvent(None, b"x")]


@pytest.mark.parametrize("chunk", [1, 64])
def test_an_event_beyond_the_limit_is_refused(chunk: int) -> None:
    parser = SSEParser(max_event_bytes=100)
    with pytest.raises(UpstreamProtocolError, match="longer than 100 bytes"):
        list(map(parser.feed, cut(b"data: " + b"x" * 200, chunk)))


def test_many_small_data_lines_count_together() -> None:
    parser = SSEParser(max_event_bytes=100)
    with pytest.raises(UpstreamProtocolError, match="longer than 100 bytes"):
        parser.feed(b"data: 0123456789\n" * 20)


@pytest.mark.parametrize("size", [1, 5, 100])
def test_json_lines(size: int) -> None:
    parser = NDJSONParser()
    found = [e.data for c in cut(b'{"a":1}\r\n\n {"b":2}\nrest', size) for e in parser.feed(c)]
    assert found == [b'{"a":1}', b'{"b":2}']
