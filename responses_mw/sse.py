"""Cuts an upstream's bytes into events, sans I/O: server-sent events and newline-delimited JSON.

Bytes in, whole events out, whatever the chunking. An unterminated last event is dropped (WHATWG,
9.2.6).
"""

from typing import NamedTuple

from responses_mw.errors import UpstreamProtocolError

MAX_EVENT_BYTES = 64 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    event: str | None
    data: bytes


class SSEParser:
    """Line ends may be LF, CRLF or CR; comments and unknown fields are passed over."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._lines = _Lines(max_event_bytes)
        self._event: str | None = None
        self._data: list[bytes] = []
        self._size = 0
        self._max = max_event_bytes

    @property
    def idle(self) -> bool:
        """Whether the next byte begins an event."""
        return not self._data and self._event is None and self._lines.idle

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        for line in self._lines.feed(chunk):
            if line:
                self._field(line)
            elif self._data:
                data = self._data
                events.append(
                    ServerSentEvent(self._event, data[0] if len(data) == 1 else b"\n".join(data))
                )
                self._event, self._data, self._size = None, [], 0
            else:
                self._event = None
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
            if self._size > self._max:
                raise _too_long(self._max)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")


class NDJSONParser:
    """One JSON value per line; a last line without its line end is not an event."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._lines = _Lines(max_event_bytes)

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        lines = map(bytes.strip, self._lines.feed(chunk))
        return [ServerSentEvent(None, line) for line in lines if line]


class _Lines:
    """Whole lines of a byte stream. Pieces of a line wait in a list: joining each would be
    quadratic."""

    def __init__(self, max_line_bytes: int) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._max = max_line_bytes
        self._at_start = True
        self._skip_newline = False

    @property
    def idle(self) -> bool:
        return not (self._pieces or self._skip_newline or self._at_start)

    def feed(self, chunk: bytes) -> list[bytes]:
        if self._at_start:
            chunk = self._without_byte_order_mark(chunk)
        if b"\r" in chunk or self._skip_newline:
            chunk = self._with_newlines(chunk)
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if lines and self._pieces:
            self._wait(lines[0])
            lines[0] = b"".join(self._pieces)
            self._pieces, self._size = [], 0
        if rest:
            self._wait(rest)
        return lines

    def _wait(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._max:
            raise _too_long(self._max)

    def _with_newlines(self, chunk: bytes) -> bytes:
        """A CR ends its line at once; the LF of a CRLF may come with the next chunk."""
        if self._skip_newline and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._skip_newline = False
        if chunk:
            self._skip_newline = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _without_byte_order_mark(self, chunk: bytes) -> bytes:
        chunk = b"".join((*self._pieces, chunk))
        self._pieces, self._size = [], 0
        if len(chunk) < 3 and _BOM.startswith(chunk):
            self._wait(chunk)
            return b""
        self._at_start = False
        return chunk.removeprefix(_BOM)


def _too_long(limit: int) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"an event of the stream is longer than {limit} bytes")
