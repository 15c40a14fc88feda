"""A model's API that costs next to nothing: answers that were made before, over a bare protocol.

Run as a process of its own; it prints its address. `/DELTAS/GAP/SWELL` before an API's path is the
`Shape` of the answer.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import cast

import uvloop

from benchmarks.answers import answer
from benchmarks.wire import Format, Shape, count_texts

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FORMATS: dict[str, Format] = {
    "completions": "chat",
    "messages": "anthropic",
    "m:generateContent": "gemini",
    "m:streamGenerateContent": "gemini",
    "responses": "responses",
}
"""By the end of a path."""


class Upstream(asyncio.Protocol):
    """One connection. Requests come one after another, each once the last was answered."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._head = self._end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._end:
            self._head = self._buffer.find(b"\r\n\r\n") + 4
            if self._head < 4:
                return
            length = _LENGTH.search(self._buffer, 0, self._head)
            self._end = self._head + (int(length[1]) if length else 0)
        if len(self._buffer) >= self._end:
            self._answer(bytes(self._buffer[: self._head]), bytes(self._buffer[self._head :]))
            self._buffer.clear()
            self._end = 0

    def _answer(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1].decode().partition("?")[0]
        if path.rpartition("/")[2] not in _FORMATS:  # some ask first which models there are
            self._transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return
        _, deltas, gap, swell, rest = path.split("/", 4)
        shape = Shape.of(deltas, gap, swell)
        stream = b'"stream":true' in body or "streamGenerate" in rest
        ready = answer(_FORMATS[rest.rpartition("/")[2]], shape, stream=stream)
        pieces = ready.counted(count_texts(body, shape))
        self._transport.write(ready.head + pieces[0])
        self._send(iter(pieces[1:]), shape.gap_ms / 1000)

    def _send(self, pieces: Iterator[bytes], gap: float) -> None:
        """One piece each time around, so that they leave in packets of their own."""

        def send() -> None:
            piece = next(pieces, None)
            if piece is None or self._transport.is_closing():
                return
            self._transport.write(piece)
            later()

        def later() -> None:
            if gap:
                self._loop.call_later(gap, send)
            else:
                self._loop.call_soon(send)

        later()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
