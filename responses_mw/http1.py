"""One connection to an upstream: HTTP/1.1, one request at a time.

Of a stream's cost this was the greatest part, so it holds what asking a model needs and no more:
requests whose body is known, answers of any framing. Which connection is taken, `pool` says.
"""

import asyncio
import select
from collections.abc import Callable, Mapping
from typing import Any, cast

import httptools

_MAX_HEAD_BYTES = 64 * 1024
_MAX_WAITING_BYTES = 256 * 1024
"""Of an answer that nobody reads yet; then its sender has to wait."""
_LENIENT = {
    "lenient_headers": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
}
"""What old servers send and clients read: headers in several lines (RFC 9112, 5.2), lines without a
return (2.2), spaces behind a chunk's size. An answer ends at the same byte."""


class NoConnection(OSError):
    """Nobody was asked."""


class ConnectionBroke(ConnectionError):
    """After the request was written: whoever was asked may have begun to answer."""


class Answer:
    """What came back. `headers` have lower-case names; of one name, values are joined by commas.

    The end of the body gives the connection back; `aclose` before it ends the connection.
    """

    def __init__(self, connection: "Connection", silence_s: float) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._connection: Connection | None = connection
        self._silence_s = silence_s
        self._loop = connection.loop
        self._chunks: list[bytes] = []
        self.on_body = self._chunks.append
        self._parser: Any = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_LENIENT)
        self._waiter: asyncio.Future[None] | None = None
        self._complete = False
        self._reusable = False
        self._error: OSError | None = None
        self._size = 0
        self._paused = False
        self._heard_at = self._loop.time()
        self._clock = self._loop.call_later(silence_s, self._look_at_clock)

    # --- for who asked

    async def head(self) -> None:
        """Waits for status and headers. Raises ConnectionBroke or TimeoutError, as `read` does."""
        while not self.status:
            await self._more()

    async def read(self) -> bytes:
        """All that has come since; empty at the end. A body is cut where the network cut it."""
        while not self._chunks:
            if self._complete:
                return b""
            await self._more()
        chunks = self._chunks
        chunk = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._size = 0
        if self._paused and self._connection is not None:
            self._paused = False
            self._heard_at = self._loop.time()  # it was not silent: it had to wait
            self._connection.resume()
        return chunk

    async def aclose(self) -> None:
        if self._connection is not None:
            self.end(ConnectionBroke("it was closed before its end"))

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _look_at_clock(self) -> None:
        """Nobody is silent whom we do not listen to."""
        now = self._loop.time()
        due = (now if self._waiter is None else self._heard_at) + self._silence_s
        if due <= now:
            self.end(TimeoutError())
        else:
            self._clock = self._loop.call_later(due - now, self._look_at_clock)

    # --- for the connection

    def feed(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.end(None if self._complete else ConnectionBroke(f"this is no HTTP: {error}"))
            return
        except httptools.HttpParserUpgrade:
            self.end(ConnectionBroke("it wants to speak another protocol"))
            return
        if self._complete:
            self.end(None, reusable=self._reusable)
        elif not self.status:
            if self._size > _MAX_HEAD_BYTES:
                self.end(ConnectionBroke(f"its headers are longer than {_MAX_HEAD_BYTES} bytes"))
        elif self._size > _MAX_WAITING_BYTES and not self._paused and self._connection is not None:
            if not self._chunks:  # whoever waits for its body would wait for ever
                self.end(
                    ConnectionBroke(f"its trailers are longer than {_MAX_WAITING_BYTES} bytes")
                )
                return
            self._paused = True
            self._connection.pause()
        self._wake()

    def lost(self, error: Exception | None) -> None:
        """A body without a length ends with its connection; anything else is cut short."""
        coding = self.headers.get("transfer-encoding", "")
        framed = "content-length" in self.headers or coding.lower().endswith("chunked")
        if error is None and self.status and not framed:
            self._complete = True
            self.end(None)
        else:
            self.end(ConnectionBroke(str(error) if error else self._cut()))

    def _cut(self) -> str:
        return "it was closed in mid-answer" if self.status else "it was closed without an answer"

    def end(self, error: OSError | None, *, reusable: bool = False) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._error = error
        self._clock.cancel()
        # It knows this object by its methods: a cycle, which only the garbage collector would end.
        self._parser = None
        connection.left(reusable=reusable)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- for the parser

    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:  # a trailer
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status
            self._size = 0
        elif status < 100:
            raise ValueError(f"the status {status}")
        else:  # 100 Continue, 103 Early Hints
            self.headers = {}

    def on_message_complete(self) -> None:
        if self.status:
            self._complete = True
            self._reusable = self._parser.should_keep_alive()


class Connection(asyncio.Protocol):
    """`idle` is told of it when it can be asked again."""

    def __init__(self, idle: Callable[["Connection"], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.idle_since = 0.0
        self._idle = idle
        self._answer: Answer | None = None

    def ask(
        self, target: str, headers: Mapping[str, str], body: bytes, *, silence_s: float
    ) -> Answer:
        """Posts `body`. Raises ValueError for what cannot stand in a header, before a byte is
        sent, and NoConnection where the other side has closed it already."""
        head = _head(target, headers)
        if self._transport.is_closing():
            raise NoConnection("it was closed at once")
        answer = self._answer = Answer(self, silence_s)
        self._transport.write(head + body)
        return answer

    @property
    def usable(self) -> bool:
        """Whether the other side has neither closed it nor said anything nobody asked for; the
        event loop may not have heard of it yet."""
        return not self._transport.is_closing() and not _is_readable(self._file)

    def close(self) -> None:
        """At once: whoever is still answering stops."""
        self._transport.abort()

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        self._transport.resume_reading()

    def left(self, *, reusable: bool) -> None:
        """By its answer."""
        self._answer = None
        if reusable and not self._transport.get_write_buffer_size():
            self.idle_since = self.loop.time()
            self._idle(self)
        else:
            self.close()

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._file: int = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()
        else:
            self._answer.feed(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None:
            self._answer.lost(error)


def _is_readable(file: int) -> bool:
    if not hasattr(select, "poll"):  # Windows, where the event loop has to find out
        return False
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))


def _head(target: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"POST {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
    head = "\r\n".join(lines)
    ends = len(lines) - 1
    if head.count("\r") != ends or head.count("\n") != ends or "\0" in head:
        wrong = [name for name, value in headers.items() if set(f"{name}{value}") & set("\r\n\0")]
        raise ValueError(f"the headers {wrong} have line ends or zeros in them")
    return f"{head}\r\n\r\n".encode()
