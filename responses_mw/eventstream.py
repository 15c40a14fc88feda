"""Cuts AWS event-stream messages out of bytes, sans I/O (application/vnd.amazon.eventstream).

What a message is made of stands here; what its payload means is the adapter's. Every checksum is
compared: a broken message ends the stream, because lengths can no longer be trusted.
"""

import struct
import zlib
from collections.abc import Iterator

import orjson

from responses_mw.errors import UpstreamProtocolError
from responses_mw.sse import ServerSentEvent

MAX_MESSAGE_BYTES = 24 * 1024 * 1024
"""AWS allows payloads of 24 MiB at most, and 128 KiB of headers."""

_PRELUDE = struct.Struct(">III")  # length of all, length of the headers, checksum of the two
_CHECKSUM = struct.Struct(">I")
_LEAST = _PRELUDE.size + _CHECKSUM.size
_MAX_HEADER_BYTES = 128 * 1024

_STRING = 7
_SIZED = (6, _STRING)
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Types of header values: booleans, integers, times and UUIDs have a fixed size, byte strings and
strings say theirs. Only strings are read."""


class EventStreamParser:
    """Whole messages as events, whatever the chunking. A message cut off at the end is none.

    `event` is the `:event-type`, or the `:exception-type` of an exception. An error that no
    exception describes is named by its `:error-code`, with `Exception` behind it, and its message
    becomes the data.
    """

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max = max_message_bytes + _MAX_HEADER_BYTES + _LEAST
        self._held = bytearray()
        self._wanted = _PRELUDE.size

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Must be read to its end. Raises UpstreamProtocolError where the first broken message is:
        those before it were said, whatever the chunking."""
        self._held += chunk
        start = 0
        while len(self._held) - start >= self._wanted:
            if self._wanted == _PRELUDE.size:
                self._wanted = self._length(start)
            else:
                stop = start + self._wanted
                yield _read(bytes(memoryview(self._held)[start:stop]))
                start, self._wanted = stop, _PRELUDE.size
        if start:
            del self._held[:start]

    def _length(self, start: int) -> int:
        total, headers, checksum = _PRELUDE.unpack_from(self._held, start)
        if zlib.crc32(self._held[start : start + 8]) != checksum:
            raise _broken("the checksum of a message's first bytes is wrong")
        if total < _LEAST + headers:
            raise _broken(f"a message of {total} bytes has {headers} bytes of headers")
        if total > self._max:
            raise _broken(f"a message is {total} bytes long, more than {self._max}")
        return int(total)


def _read(message: bytes) -> ServerSentEvent:
    (checksum,) = _CHECKSUM.unpack_from(message, len(message) - _CHECKSUM.size)
    if zlib.crc32(message[: -_CHECKSUM.size]) != checksum:
        raise _broken("the checksum of a message is wrong")
    start = _PRELUDE.size + int.from_bytes(message[4:8], "big")
    headers = dict(_headers(message[_PRELUDE.size : start]))
    payload = message[start : -_CHECKSUM.size]
    match headers.get(":message-type"):
        case "exception":
            return ServerSentEvent(headers.get(":exception-type", "unknownException"), payload)
        case "error":
            code = headers.get(":error-code", "unknown")
            said = headers.get(":error-message", "")
            name = code if code.endswith("Exception") else f"{code}Exception"
            return ServerSentEvent(name, orjson.dumps({"message": said}))
    return ServerSentEvent(headers.get(":event-type"), payload)


def _headers(raw: bytes) -> Iterator[tuple[str, str]]:
    """The headers that are strings; the others are passed over."""
    place = 0
    try:
        while place < len(raw):
            name_end = place + 1 + raw[place]
            name, kind = raw[place + 1 : name_end], raw[name_end]
            place = name_end + 1
            size = _FIXED_SIZES.get(kind)
            if kind in _SIZED:
                size = int.from_bytes(raw[place : place + 2], "big")
                place += 2
            if size is None or place + size > len(raw):
                raise _broken(f"a header of a message has type {kind} and does not fit")
            if kind == _STRING:
                yield name.decode(), raw[place : place + size].decode()
            place += size
    except (IndexError, UnicodeDecodeError) as error:
        raise _broken(f"the headers of a message are malformed: {error}") from error


def _broken(message: str) -> UpstreamProtocolError:
    return UpstreamProtocolError(f"an event stream is broken: {message}")
