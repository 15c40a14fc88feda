"""A client's connection at its barest: bytes out, one answer's bytes back, and when they came.

Nothing here knows what an answer means; who asks is told of each, of a failure too.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Protocol, cast

from benchmarks.wire import BrokenRun

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED_END = b"\r\n0\r\n\r\n"
_TERMINAL = (b'{"type":"response.completed"', b'{"type":"error"', b'{"type":"response.failed"')


class Asker(Protocol):
    def answered(self, body: bytes, latency: float, first: float, silence: float) -> None:
        """Seconds: to the last byte, to the first delta, between two reads once it had begun."""

    def broken(self, error: BrokenRun) -> None: ...


class Connection(asyncio.Protocol):
    """`ready` once it may be asked; `first` is what the first delta is known by."""

    transport: asyncio.Transport

    def __init__(self, port: int, path: str, first: bytes, asker: Asker) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asker = asker
        self._mark = first
        self._host = f"127.0.0.1:{port}"
        self._path = path
        self._buffer = bytearray()
        self._first = self._last = self._silence = 0.0
        self._waiting = False

    def send(self, content: bytes) -> None:
        self._waiting = True
        self._asked = time.perf_counter()
        self._first = self._silence = 0.0
        self.transport.write(self._framed(content))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        # One that nothing is asked on any more may be closed for being idle.
        if self._waiting or not self.ready.done():
            self._broken(f"the server closed a connection: {exc}")

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._buffer += data
        if self._first:
            self._silence = max(self._silence, now - self._last)
        elif self._buffer.find(self._mark) >= 0:
            self._first = now
        self._last = now
        body = self._read(self._buffer)
        if body is not None:
            self._waiting = False
            first = (self._first or now) - self._asked
            self._asker.answered(body, now - self._asked, first, self._silence)

    def _broken(self, reason: str) -> None:
        self._asker.broken(BrokenRun(reason))

    def _framed(self, content: bytes) -> bytes:
        raise NotImplementedError

    def _read(self, buffer: bytearray) -> bytes | None:
        """The answer, taken out of the buffer, once all of it is there."""
        raise NotImplementedError


class HTTPConnection(Connection):
    _body_at = 0
    _end: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._head = (
            f"POST {self._path} HTTP/1.1\r\nhost: {self._host}\r\n"
            "content-type: application/json\r\ncontent-length: "
        ).encode()
        self.ready.set_result(None)

    def _framed(self, content: bytes) -> bytes:
        return b"%b%d\r\n\r\n%b" % (self._head, len(content), content)

    def _read(self, buffer: bytearray) -> bytes | None:
        if not self._body_at and not self._read_head(buffer):
            return None
        if self._end is None:
            if not buffer.endswith(_CHUNKED_END):
                return None
            body = b"".join(_chunks(buffer, self._body_at))
        elif len(buffer) >= self._end:
            body = bytes(buffer[self._body_at :])
        else:
            return None
        self._body_at = 0
        if not buffer.startswith(b"HTTP/1.1 200 "):
            self._broken(bytes(buffer[:2000]).decode("utf-8", "replace"))
            return None
        buffer.clear()
        return body

    def _read_head(self, buffer: bytearray) -> bool:
        at = buffer.find(b"\r\n\r\n")
        if at < 0:
            return False
        self._body_at = at + 4
        length = _LENGTH.search(buffer, 0, at + 2)
        self._end = None if length is None else self._body_at + int(length[1])
        return True


def _chunks(buffer: bytearray, at: int) -> Iterator[bytes]:
    while True:
        line = buffer.index(b"\r\n", at)
        size = int(buffer[at:line], 16)
        if size == 0:
            return
        yield bytes(buffer[line + 2 : line + 2 + size])
        at = line + 4 + size


class SocketConnection(Connection):
    """An answer is the messages up to the event that ends a response, one a line."""

    def __init__(self, port: int, path: str, first: bytes, asker: Asker) -> None:
        super().__init__(port, path, first, asker)
        self._messages: list[bytes] = []
        self._at = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(
            f"GET {self._path} HTTP/1.1\r\nhost: {self._host}\r\nupgrade: websocket\r\n"
            "connection: Upgrade\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )

    def _framed(self, content: bytes, *, kind: int = 0x81) -> bytes:
        """Masked with zeros, which is allowed and costs nothing."""
        size = len(content)
        if size < 126:
            length = bytes((0x80 | size,))
        elif size < 65536:
            length = b"\xfe" + size.to_bytes(2, "big")
        else:
            length = b"\xff" + size.to_bytes(8, "big")
        return bytes((kind,)) + length + b"\0\0\0\0" + content

    def _read(self, buffer: bytearray) -> bytes | None:
        if not self.ready.done():
            self._read_handshake(buffer)
            return None
        while (frame := self._frame(buffer)) is not None:
            kind, message = frame
            if kind == 0x89:
                self.transport.write(self._framed(message, kind=0x8A))
            elif kind != 0x81:
                self._broken(f"a WebSocket frame of kind {kind:#x}: {message!r}")
            else:
                self._messages.append(message)
                if message.startswith(_TERMINAL):
                    body = b"\n".join(self._messages)
                    self._messages.clear()
                    del buffer[: self._at]
                    self._at = 0
                    return body
        return None

    def _read_handshake(self, buffer: bytearray) -> None:
        if not buffer.endswith(b"\r\n\r\n"):
            return
        if not buffer.startswith(b"HTTP/1.1 101 "):
            self._broken(bytes(buffer[:2000]).decode("utf-8", "replace"))
        buffer.clear()
        self.ready.set_result(None)

    def _frame(self, buffer: bytearray) -> tuple[int, bytes] | None:
        at = self._at
        if len(buffer) < at + 2:
            return None
        kind, size, start = buffer[at], buffer[at + 1], at + 2
        if size >= 126:
            start += 2 if size == 126 else 8
            size = int.from_bytes(buffer[at + 2 : start], "big")
        if len(buffer) < start + size or start > len(buffer):
            return None
        self._at = start + size
        return kind, bytes(buffer[start : self._at])
