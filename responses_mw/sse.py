"""Cuts an upstream's bytes into events, sans I/O: server-sent events and newline-delimited JSON.

Bytes in, whole events out, whatever the chunking. An unterminated last event is dropped (WHATWG,
9.2.6).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from responses_mw.errors import UpstreamProtocolError

MAX_EVENT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    event: str | None
    data: bytes


class SSEParser:
    """Line ends may be LF, CRLF or CR; comments and unknown fields are passed over."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._rest = b""
        self._event: str | None = None
        self._data: list[bytes] = []
        self._size = 0
        self._max = max_event_bytes

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        buffer = self._rest + chunk if self._rest else chunk
        if b"\r" in buffer:
            buffer = self._without_carriage_returns(buffer)
        lines = buffer.split(b"\n")
        self._rest = lines.pop()
        self._guard(len(self._rest))
        return [event for line in lines if (event := self._line(line)) is not None]

    def _without_carriage_returns(self, buffer: bytes) -> bytes:
        # A CR at the very end may be the first half of a CRLF: it waits for the next chunk.
        if buffer.endswith(b"\r"):
            return buffer[:-1].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b"\r"
        return buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
            self._guard(self._size)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event, self._data
        self._event, self._data, self._size = None, [], 0
        if not data:
            return None
        return ServerSentEvent(event, data[0] if len(data) == 1 else b"\n".join(data))

    def _guard(self, size: int) -> None:
        if size > self._max:
            raise UpstreamProtocolError(f"an event of the stream is longer than {self._max} bytes")


class NDJSONParser:
    """One JSON value per line; a last line without its line end is not an event."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._rest = b""
        self._max = max_event_bytes

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > self._max:
            raise UpstreamProtocolError(f"a line of the stream is longer than {self._max} bytes")
        return [ServerSentEvent(None, line) for line in map(bytes.strip, lines) if line]


def parse_sse(chunks: Iterable[bytes]) -> list[ServerSentEvent]:
    parser = SSEParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]
