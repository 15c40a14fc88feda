"""Servers that say bytes, and asking them over connections of ours."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from responses_mw.addresses import address_of
from responses_mw.connections import Answer, Connections, connections_to

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEADERS = {"host": "upstream", "content-length": "2"}
BODY = b"{}"

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n"
"""Both say abc."""


@contextlib.asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address of a server that does so with each connection, and closes it then."""

    tasks: set[asyncio.Task[None] | None] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    scheme = "https" if context else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            assert task is not None
            await asyncio.wait_for(task, 5)


async def request_from(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(len(BODY))


def saying(pieces: Sequence[bytes], *, stays: bool = True, times: int = 1) -> Serve:
    """`stays`: until the other side goes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            await request_from(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if len(pieces) > 1:
                    await asyncio.sleep(0)
        if stays:
            await reader.read()

    return serve


@contextlib.asynccontextmanager
async def connected(url: str, *, silence_s: float = 2.0) -> AsyncIterator[Connections]:
    connections = connections_to(url, connect_s=1.0, silence_s=silence_s)
    try:
        yield connections
    finally:
        await connections.aclose()


async def post(connections: Connections, url: str) -> Answer:
    return await connections.post(address_of(f"{url}/say"), HEADERS, BODY)


async def body_of(answer: Answer) -> bytes:
    chunks = []
    while chunk := await answer.read():
        chunks.append(chunk)
    return b"".join(chunks)


async def answered(url: str) -> tuple[int, bytes]:
    async with connected(url) as connections:
        answer = await post(connections, url)
        return answer.status, await body_of(answer)
