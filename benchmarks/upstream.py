"""A model's API that costs next to nothing: answers that were made before, over a bare protocol.

Run as a process of its own; it prints its address. `/DELTAS/GAP` before an API's path says how many
deltas the answer has and how many milliseconds lie between two of them; 0 sends each by itself, as
fast as the event loop turns.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import cast

import uvloop

from benchmarks.wire import PATHS, Format, answer, count_texts

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FORMATS: dict[str, Format] = {path: name for name, path in PATHS.items()}


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
        path = head.split(b" ", 2)[1].decode()
        _, deltas, gap, rest = path.split("/", 3)
        stream = b'"stream":true' in body
        ready = answer(_FORMATS["/" + rest], deltas=int(deltas), stream=stream)
        pieces = ready.counted(count_texts(body, int(deltas)))
        self._transport.write(ready.head + pieces[0])
        self._send(iter(pieces[1:]), float(gap) / 1000)

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
