"""A local upstream that answers each connection as a test says: real sockets, scripted bytes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from anyio.from_thread import start_blocking_portal

Answer = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request as it came, and the socket to answer on."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client closed its side."""

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def whole(self, body: Any, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        head = {"content-type": "application/json", "content-length": str(len(data)), **named}
        await self.head(status, head)
        await self.send(data)

    async def sse(self) -> None:
        """The head of a stream that ends with its connection; `event` follows."""
        await self.head(200, {"content-type": "text/event-stream", "connection": "close"})

    async def event(self, data: Any) -> None:
        text = data if isinstance(data, bytes) else orjson.dumps(data)
        await self.send(b"data: " + text + b"\n\n")


class Upstream:
    """`answers` are used in turn, the last one for ever. `exchanges` are what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.exchanges: list[Exchange] = []
        self.url = ""
        self._server: asyncio.Server | None = None

    def refuse(self) -> None:
        """Listens no more: whoever connects from now on is refused."""
        assert self._server is not None
        self._server.close()
        for exchange in self.exchanges:
            exchange.writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                exchange = await _read(reader, writer)
                self.exchanges.append(exchange)
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                await _answer(answer, exchange, reader)
                if writer.is_closing() or exchange.gone.is_set():
                    break
        writer.close()


async def _answer(answer: Answer, exchange: Exchange, reader: asyncio.StreamReader) -> None:
    async def watch() -> None:
        if await reader.read(1) == b"":
            exchange.gone.set()

    watching = asyncio.create_task(watch())
    try:
        await answer(exchange)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await watching


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Exchange(method, path, headers, body, writer)


@contextlib.asynccontextmanager
async def upstream(*answers: Answer) -> AsyncIterator[Upstream]:
    it = Upstream(*answers)
    server = await asyncio.start_server(it._serve, "127.0.0.1", 0)
    it._server = server
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield it
    finally:
        server.close()
        for exchange in it.exchanges:
            exchange.writer.close()
        await server.wait_closed()


@contextlib.contextmanager
def elsewhere(*answers: Answer) -> Iterator[Upstream]:
    """An upstream in a thread of its own: it answers while a test blocks."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(upstream(*answers)) as it,
    ):
        yield it
