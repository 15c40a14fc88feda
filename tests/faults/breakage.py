"""How an upstream breaks: each fault answers one exchange, in any of the wire formats."""

import asyncio
import contextlib
import gzip
import random
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable

from speeches import Speech, is_streamed
from upstream import Exchange

Fault = Callable[[Exchange, Speech], Awaitable[None]]

MEGABYTE = bytes(1 << 20).replace(b"\0", b" ")


async def well(exchange: Exchange, speech: Speech) -> None:
    if is_streamed(exchange):
        await streamed(exchange, speech, speech.streamed)
    else:
        await exchange.whole(speech.whole)


async def streamed(
    exchange: Exchange, speech: Speech, body: bytes, *, close: bool = True, **headers: str
) -> None:
    with contextlib.suppress(ConnectionError):
        await speech.begin(exchange, **headers)
        await exchange.send(body)
        if close:
            exchange.writer.close()


async def closed(exchange: Exchange, _speech: Speech) -> None:
    exchange.writer.close()


async def reset(exchange: Exchange, speech: Speech) -> None:
    """In the middle, with an RST."""
    await streamed(exchange, speech, speech.beginning, close=False)
    await asyncio.sleep(0.02)
    raw = exchange.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    exchange.writer.transport.abort()


async def silent(exchange: Exchange, _speech: Speech) -> None:
    await exchange.gone.wait()


async def stalled(exchange: Exchange, speech: Speech) -> None:
    await streamed(exchange, speech, speech.beginning, close=False)
    await exchange.gone.wait()


async def drip(exchange: Exchange, speech: Speech) -> None:
    """A byte at a time."""
    await speech.begin(exchange)
    for n, byte in enumerate(speech.streamed):
        await exchange.send(bytes([byte]))
        if n % 64 == 0:
            await asyncio.sleep(0.001)
    exchange.writer.close()


async def web_page(exchange: Exchange, _speech: Speech) -> None:
    await exchange.whole(b"<html>Sign in</html>", content_type="text/html; charset=utf-8")


async def plain(exchange: Exchange, _speech: Speech) -> None:
    await exchange.whole(b"it went wrong", content_type="text/plain")


async def error_body(exchange: Exchange, _speech: Speech) -> None:
    await exchange.whole({"error": {"message": "out of order", "type": "server_error"}})


async def error_event(exchange: Exchange, speech: Speech) -> None:
    await streamed(exchange, speech, speech.beginning + speech.error)


async def not_json(exchange: Exchange, speech: Speech) -> None:
    if is_streamed(exchange):
        broken = speech.frames[4].replace(b"{", b"{{", 1)
        await streamed(exchange, speech, speech.beginning + broken + speech.streamed)
    else:
        await exchange.whole(speech.whole[:-7])


async def other_json(exchange: Exchange, speech: Speech) -> None:
    """JSON of shapes that no format knows."""
    shapes = (b"[]", b"7", b'"x"', b'{"choices": 3}', b'{"choices": [null]}', b"null")
    if is_streamed(exchange):
        await streamed(exchange, speech, b"".join(b"data: " + shape + b"\n\n" for shape in shapes))
    else:
        await exchange.whole(random.choice(shapes))


async def broken_gzip(exchange: Exchange, speech: Speech) -> None:
    packed = gzip.compress(speech.streamed if is_streamed(exchange) else speech.whole)
    body = packed[: len(packed) // 2] + b"\xff" * (len(packed) // 2)
    await streamed(exchange, speech, body, content_encoding="gzip")


async def no_gzip(exchange: Exchange, speech: Speech) -> None:
    await streamed(exchange, speech, speech.streamed, content_encoding="gzip")


async def short(exchange: Exchange, speech: Speech) -> None:
    """Less than it announced."""
    await exchange.head(200, {"content-type": "application/json", "content-length": "9999"})
    await exchange.send(speech.whole)
    exchange.writer.close()


async def not_http(exchange: Exchange, _speech: Speech) -> None:
    await exchange.send(b"\x15\x03\x01\x00\x02\x02\x28 what?\r\n\r\n")
    exchange.writer.close()


async def elsewhere(exchange: Exchange, _speech: Speech) -> None:
    """A redirect, which would carry the key to another place."""
    await exchange.head(307, {"location": "http://127.0.0.1:9/", "content-length": "0"})


async def huge(exchange: Exchange, speech: Speech) -> None:
    """200 MB of one frame, or one value."""
    if is_streamed(exchange):
        await speech.begin(exchange)
    else:
        await exchange.head(200, {"content-type": "application/json", "connection": "close"})
    with contextlib.suppress(ConnectionError):
        await exchange.send(speech.beginning + endless(speech) if is_streamed(exchange) else b"")
        for _ in range(200):
            await exchange.send(MEGABYTE)
    exchange.writer.close()


def endless(speech: Speech) -> bytes:
    """The beginning of a frame; AWS's say how long they are, and may be 24 MiB."""
    if speech.content_type == "text/event-stream":
        return b"data: "
    lengths = struct.pack(">II", 24 << 20, 0)
    return lengths + struct.pack(">I", zlib.crc32(lengths))


async def bomb(exchange: Exchange, speech: Speech) -> None:
    """200 MB in 200 KB."""
    beginning = speech.beginning + endless(speech) if is_streamed(exchange) else b""
    packer = zlib.compressobj(1, wbits=31)
    pieces = [packer.compress(beginning), *(packer.compress(MEGABYTE) for _ in range(200))]
    body = b"".join([*pieces, packer.flush()])
    await streamed(exchange, speech, body, content_encoding="gzip")


FAULTS = [
    closed, reset, silent, stalled, drip, web_page, plain, error_body, error_event, not_json,
    other_json, broken_gzip, no_gzip, short, not_http, elsewhere,
]  # fmt: skip
HEARD = (reset, stalled, error_event, not_json, huge)
"""After the first word of a stream."""
