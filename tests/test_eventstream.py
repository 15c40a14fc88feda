"""The AWS event-stream parser beside botocore's, on every recorded stream and on broken ones."""

import struct
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer
from cases import Recording, needs_recordings, recorded

from responses_mw.errors import UpstreamProtocolError
from responses_mw.eventstream import EventStreamParser
from responses_mw.sse import ServerSentEvent

STREAMS = recorded(kind="eventstream")


def parsed(body: bytes, chunk: int | None = None) -> list[ServerSentEvent]:
    parser = EventStreamParser()
    size = chunk or max(1, len(body))
    return [
        event for at in range(0, len(body), size) for event in parser.feed(body[at : at + size])
    ]


def official(body: bytes) -> list[ServerSentEvent]:
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    return [ServerSentEvent(m.headers[":event-type"], m.payload) for m in buffer]


def header(name: str, value: str) -> bytes:
    said = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(said)) + said


def message(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def event(kind: str, payload: bytes = b"{}") -> bytes:
    return message(header(":message-type", "event") + header(":event-type", kind), payload)


@needs_recordings
def test_there_are_streams_to_compare() -> None:
    assert len(STREAMS) > 15


@pytest.mark.parametrize("chunk", [None, 1, 7, 700])
@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_recorded_stream_is_cut_as_the_official_client_cuts_it(
    recording: Recording, chunk: int | None
) -> None:
    assert parsed(recording.body, chunk) == official(recording.body)


def test_the_end_of_a_stream_may_be_missing() -> None:
    body = event("one") + event("two")
    for end in range(len(body)):
        complete = 1 if end >= len(event("one")) else 0
        assert len(parsed(body[:end])) == complete


def test_every_broken_bit_is_noticed() -> None:
    body = event("one", b'{"text": "hi"}')
    for place in range(len(body)):
        broken = bytearray(body)
        broken[place] ^= 0x04
        with pytest.raises(UpstreamProtocolError, match="event stream is broken"):
            parsed(bytes(broken))


def test_headers_of_every_type_are_passed_over() -> None:
    headers = b"".join(
        bytes([1, 97 + kind, kind]) + value
        for kind, value in {
            0: b"",
            1: b"",
            2: b"\x01",
            3: b"\x00\x01",
            4: bytes(4),
            5: bytes(8),
            6: b"\x00\x03abc",
            8: bytes(8),
            9: bytes(16),
        }.items()
    )
    body = message(headers + header(":event-type", "last"), b"payload")
    assert parsed(body) == official(body) == [ServerSentEvent("last", b"payload")]


def test_an_exception_is_named_by_its_type() -> None:
    headers = header(":message-type", "exception") + header(
        ":exception-type", "throttlingException"
    )
    body = message(headers, b'{"message": "slow down"}')
    assert parsed(body) == [ServerSentEvent("throttlingException", b'{"message": "slow down"}')]


def test_an_error_without_a_payload_is_named_by_its_code() -> None:
    headers = (
        header(":message-type", "error")
        + header(":error-code", "InternalError")
        + header(":error-message", "An internal server error occurred")
    )
    expected = b'{"message":"An internal server error occurred"}'
    assert parsed(message(headers, b"")) == [ServerSentEvent("InternalErrorException", expected)]


@pytest.mark.parametrize(
    "headers",
    [b"\x01h\x0a", b"\x01h\x07\x00\x09short", b"\x05ab", b"\x01h\x07\x00\x01\xff"],
    ids=["type", "value", "name", "text"],
)
def test_malformed_headers_are_the_upstreams_mistake(headers: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        parsed(message(headers, b"{}"))


def test_a_message_that_is_too_long_is_refused_before_it_is_held() -> None:
    prelude = struct.pack(">II", 2**30, 0)
    body = prelude + struct.pack(">I", zlib.crc32(prelude))
    with pytest.raises(UpstreamProtocolError, match="1073741824 bytes long"):
        parsed(body)


def test_a_message_shorter_than_its_headers_is_refused() -> None:
    prelude = struct.pack(">II", 20, 100)
    with pytest.raises(UpstreamProtocolError, match="100 bytes of headers"):
        parsed(prelude + struct.pack(">I", zlib.crc32(prelude)))


def test_what_came_before_a_broken_message_was_said() -> None:
    broken = bytearray(event("second"))
    broken[-1] ^= 1
    found = iter(EventStreamParser().feed(event("first") + bytes(broken)))
    assert next(found).event == "first"
    with pytest.raises(UpstreamProtocolError):
        next(found)
